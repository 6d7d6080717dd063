"""Adapters are swapped without dropping a request."""

import asyncio
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from inference import queries, reconcile
from inference.adapters import drop_alias, roll_back, serve_adapter
from inference.errors import SwapRefused
from inference.models import Adapter, Replica, Serving
from inference.replicas import check_replicas, look_again, record
from inference.routing import Pool
from tests.inference import fake_vllm
from tests.inference.adapter_folders import registered, write_adapter
from tests.inference.fake_vllm import FakeVllm
from tests.inference.swaps.acting import (
    HELLO,
    SAMPLING,
    age,
    answering,
    ask,
    copy_of,
    look,
    serve,
    state,
    zero,
)
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.django_db


def test_the_answer_names_the_version_and_the_hash(red: Adapter) -> None:
    serve(red)
    result = ask()
    assert (result.model, result.adapter_hash) == (str(red), red.content_hash)
    assert str(red) == f"base@{red.content_hash[:16]}"


def test_base_requests_go_through_the_zero_adapter_once_it_is_there(red: Adapter) -> None:
    assert (answering("base"), ask("base").adapter_hash) == ("base", "")
    serve(red)
    assert answering("base") == zero()
    serve(None)
    assert answering() == zero()


def test_the_zero_adapter_is_loaded_first_and_offered_to_nobody(
    ready: FakeVllm, red: Adapter
) -> None:
    serve(red)
    assert ready.lora_calls == [f"load {zero()}", f"load {red}"]
    assert [row.name for row in queries.available_models() if row.available] == ["base", str(red)]


def test_a_base_that_is_mixed_up_is_available_through_its_zero_adapter(
    ready: FakeVllm, red: Adapter
) -> None:
    ready.mixes_up, ready.delay_s = True, 0.03
    serve(red)
    ready.restart()
    look()
    look()
    rows = {row.name: row.available for row in queries.available_models()}
    assert (rows["base"], answering("base")) == (True, zero())


def test_the_old_one_stays_until_its_requests_have_ended(
    ready: FakeVllm, red: Adapter, blue: Adapter
) -> None:
    serve(red)
    serve(blue)
    assert (answering(), state(red)) == (str(blue), "retired")
    look()
    assert str(red) in ready.models  # another process may not have seen the flip
    age()
    ready.busy_with, ready.running = {str(red)}, 1
    reconcile.mend_replica(Replica.objects.get().pk)
    assert str(red) in ready.models
    ready.busy_with, ready.running = set(), 0
    look()
    assert ready.adapters() == [zero(), str(blue)]
    assert state(red) == "unloaded"
    assert answering() == str(blue)


def test_a_check_that_began_before_the_swap_changes_nothing(ready: FakeVllm, red: Adapter) -> None:
    replica = Replica.objects.get()
    before = look_again(replica)
    serve(red)
    record(replica.pk, before)
    assert answering() == str(red)


def test_while_there_is_room_the_old_one_stays_ready(
    ready: FakeVllm, red: Adapter, blue: Adapter
) -> None:
    ready.max_loras = 5
    serve(red)
    serve(blue)
    age()
    look()
    assert ready.adapters() == [zero(), str(red), str(blue)]
    asked = len(ready.requests)
    age()
    Serving.objects.update(probed_at=timezone.now())
    roll_back(alias="helper")
    assert (answering(), state(red)) == (str(red), "serving")
    assert len(ready.requests) == asked + 1  # the answer: neither a load nor a test


@pytest.mark.parametrize(("seen", "swapped"), [(2, True), (60, False)])
def test_what_was_seen_just_now_is_not_looked_at_again(
    ready: FakeVllm, red: Adapter, blue: Adapter, seen: int, swapped: bool
) -> None:
    """So a swap under load takes no answer of a busy server; one that was not seen it asks."""
    ready.max_loras = 5
    serve(red)
    serve(blue)
    look()
    Replica.objects.update(checked_at=timezone.now() - timedelta(seconds=seen))
    ready.always = fake_vllm.error(503, "busy")
    if swapped:
        assert roll_back(alias="helper").current == red
    else:
        with pytest.raises(SwapRefused, match="busy"):
            roll_back(alias="helper")


def test_room_is_made_for_the_next_one(
    ready: FakeVllm, red: Adapter, blue: Adapter, tmp_path: Path
) -> None:
    ready.max_loras = 5
    serve(red)
    serve(blue)
    serve(registered(write_adapter(tmp_path / "green", seed=3)))
    age()
    look()
    assert str(red) not in ready.models  # the longest retired
    assert str(blue) in ready.models
    assert Replica.objects.get().places == 5


def test_files_are_deleted_one_swap_later(
    ready: FakeVllm, red: Adapter, blue: Adapter, settings: Settings, tmp_path: Path
) -> None:
    serve(red)
    serve(blue)
    age()
    look()
    assert copy_of(red, settings).is_dir()
    green = registered(write_adapter(tmp_path / "green", seed=3))
    serve(green)
    look()
    assert not copy_of(red, settings).exists()
    assert copy_of(blue, settings).is_dir()
    serve(red)  # made anew from where it was registered
    assert answering() == str(red)


def test_rolling_back_serves_the_earlier_one_again(red: Adapter, blue: Adapter) -> None:
    serve(red)
    serve(blue)
    roll_back(alias="helper")
    assert (answering(), state(red), state(blue)) == (str(red), "serving", "retired")
    roll_back(alias="helper")
    assert answering() == str(blue)


def test_an_adapter_that_another_alias_means_stays(ready: FakeVllm, red: Adapter) -> None:
    serve(red)
    serve_adapter(alias="candidate", base="base", adapter_id=red.pk)
    loads = list(ready.lora_calls)
    assert answering("candidate") == str(red)
    assert ready.lora_calls == loads
    drop_alias(alias="helper")
    assert state(red) == "serving"
    drop_alias(alias="candidate")
    assert state(red) == "retired"


def test_the_others_stay_in_use_during_a_swap(ready: FakeVllm, red: Adapter, blue: Adapter) -> None:
    serve(red)
    ready.models |= {str(blue): "base"}
    check_replicas()
    found = {s.served_model.name: s.selftest for s in Serving.objects.filter(present=True)}
    assert found == {"base": "passed", zero(): "passed", str(red): "passed", str(blue): "pending"}


@pytest.mark.django_db(transaction=True)
def test_a_rollback_under_load_drops_no_request(
    ready: FakeVllm, red: Adapter, blue: Adapter
) -> None:
    serve(red)
    serve(blue)
    ready.delay_s = 0.005
    now, answers, done = [queries.ready_endpoints()], [], threading.Event()

    async def client(pool: Pool) -> None:
        while not done.is_set():
            await pool.refresh(now[0])
            answers.append((await pool.complete("helper", HELLO, SAMPLING))[0])

    async def load() -> None:
        async with Pool(now[0]) as pool, asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(client(pool))

    thread = threading.Thread(target=asyncio.run, args=(load(),))
    thread.start()
    try:
        for _ in range(3):
            meant = str(roll_back(alias="helper").current)
            now[0] = queries.ready_endpoints()
            patience = time.monotonic() + PATIENCE_S
            while not answers or answers[-1].model != meant:
                assert time.monotonic() < patience
                time.sleep(0.005)
    finally:
        done.set()
        thread.join()
    assert {answer.model for answer in answers} == {str(red), str(blue)}
    assert all(answer.text.startswith(answer.model) for answer in answers)
    assert answering() == str(red)
