"""Replicas that died, lag or lie are brought back in step."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from celery import current_app
from django.db import IntegrityError, transaction
from django.utils import timezone

from inference import queries, reconcile, tasks
from inference.examination import at_work
from inference.models import Adapter, ModelAlias, Replica, Serving
from tests.inference import fake_vllm
from tests.inference.fake_vllm import FakeVllm
from tests.inference.swaps.acting import age, answering, look, refusal, serve, state, zero
from tests.inference.test_replicas import held_elsewhere

pytestmark = pytest.mark.django_db


def test_a_replica_that_comes_back_empty_gets_its_adapters_back(
    ready: FakeVllm, red: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(current_app.conf, "task_always_eager", True)
    serve(red)
    ready.restart()
    tasks.check_replicas()
    assert ready.adapters() == [zero(), str(red)]
    assert answering() == str(red)


def test_a_replica_that_was_away_during_the_swap_catches_up(
    ready: FakeVllm, second: FakeVllm, red: Adapter
) -> None:
    Replica.objects.filter(url=second.url).update(state="down")
    serve(red)
    assert second.adapters() == []
    look()
    assert second.adapters() == [zero(), str(red)]


def test_killed_during_a_swap_it_serves_the_old_one_again(
    ready: FakeVllm, red: Adapter, blue: Adapter
) -> None:
    serve(red)
    ready.lora_script = [fake_vllm.hang_up] * 2  # the load, and taking it back
    refusal(blue)
    ready.restart()
    look()
    look()
    assert answering() == str(red)
    assert ready.adapters() == [zero(), str(red)]


def test_a_process_killed_in_a_swap_leaves_nothing_behind(
    ready: FakeVllm, red: Adapter, blue: Adapter
) -> None:
    Adapter.objects.filter(pk=red.pk).update(state="loading")
    look()
    age()
    look()
    assert state(red) == "stored"
    Adapter.objects.filter(pk=red.pk).update(state="loading")
    serve(blue)
    assert (state(red), answering()) == ("retired", str(blue))


def test_a_replica_that_lists_what_it_no_longer_has_is_mended(
    ready: FakeVllm, red: Adapter
) -> None:
    serve(red)
    age()
    ready.forgotten = {str(red)}
    ready.lora_calls.clear()
    look()
    assert ready.lora_calls == [f"unload {red}", f"load {red}"]
    assert answering() == str(red)


def test_a_retired_one_that_no_longer_answers_is_unloaded(
    ready: FakeVllm, red: Adapter, blue: Adapter
) -> None:
    ready.max_loras = 5
    serve(red)
    serve(blue)
    age()
    ready.forgotten = {str(red)}
    look()
    assert ready.adapters() == [zero(), str(blue)]


def test_probes_and_swaps_do_not_wait_for_each_other(ready: FakeVllm, red: Adapter) -> None:
    serve(red)
    age()
    with held_elsewhere(at_work(Replica.objects.get().pk)):
        reconcile.mend_replica(Replica.objects.get().pk)
    assert reconcile.replicas_to_mend() == []  # they were asked


def test_what_cannot_be_mended_is_not_used_and_says_why(ready: FakeVllm, red: Adapter) -> None:
    serve(red)
    age()
    ready.lists_only = True
    look()
    assert "helper" not in queries.ready_endpoints()[0].models
    row = next(row for row in queries.available_models() if row.name == str(red))
    assert not row.available
    assert "A probe brought no usable answer" in row.message
    assert str(red) in Replica.objects.get().message
    assert reconcile.replicas_to_mend() == []  # not again at once
    ready.lists_only = False
    Serving.objects.update(tested_at=timezone.now() - timedelta(hours=1))
    look()
    look()
    assert answering() == str(red)
    assert Replica.objects.get().message == ""


def test_no_adapter_comes_back_without_the_zero_adapter(ready: FakeVllm, red: Adapter) -> None:
    serve(red)
    ready.restart()
    ready.lora_script = [fake_vllm.error(500, "out of memory")] * 3
    look()
    assert ready.adapters() == []
    assert queries.ready_endpoints()[0].models == {"base"}
    assert "out of memory" in Replica.objects.get().message


def test_a_replica_in_step_is_left_alone(ready: FakeVllm, red: Adapter) -> None:
    serve(red)
    ready.lora_calls.clear()
    assert reconcile.replicas_to_mend() == []
    age()
    look()
    assert ready.lora_calls == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a, b: Adapter.objects.update(state="loading"),
        lambda a, b: Adapter.objects.update(state="sleepy"),
        lambda a, b: Adapter.objects.update(state="retired"),
        lambda a, b: Adapter.objects.update(zero=True, state="serving"),
        lambda a, b: Adapter.objects.update(content_hash=a.content_hash),
        lambda a, b: ModelAlias.objects.create(name="", base="base"),
    ],
)
def test_the_database_refuses_what_cannot_be(
    red: Adapter, blue: Adapter, wrong: Callable[[Adapter, Adapter], object]
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        wrong(red, blue)
