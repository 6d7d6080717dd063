"""What the database says about replicas follows what the replicas do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from inference import examination, replicas
from inference.examination import selftest_replica
from inference.locks import key_of
from inference.models import Replica, ServedModel, Serving
from inference.replicas import PATIENCE, check_replicas, sync_replicas
from tests.inference import fake_vllm
from tests.inference.fake_vllm import FakeVllm

pytestmark = pytest.mark.django_db

NOBODY = "http://127.0.0.1:9"


def only() -> Replica:
    return Replica.objects.get(enabled=True)


def check_and_test() -> Replica:
    for replica_id in check_replicas():
        selftest_replica(replica_id)
    return only()


def verdicts() -> dict[str, str]:
    return {
        serving.served_model.name: serving.selftest
        for serving in Serving.objects.filter(present=True).select_related("served_model")
    }


# --- coming up and going down ---------------------------------------------------------------


def test_a_server_that_was_just_started_is_loading(settings: Settings) -> None:
    settings.INFERENCE_URLS = [NOBODY]
    check_replicas()
    assert only().state == "loading"
    assert only().message == "The model is loading."


def test_a_server_that_never_comes_is_down(settings: Settings) -> None:
    settings.INFERENCE_URLS = [NOBODY]
    check_replicas()
    Replica.objects.update(awaited_since=timezone.now() - PATIENCE)
    check_replicas()
    assert only().state == "down"
    assert "log" in only().message


def test_a_server_becomes_ready_only_after_its_selftest(configured: FakeVllm) -> None:
    wanting = check_replicas()
    assert (only().state, verdicts()) == ("loading", {"base": "pending"})
    assert selftest_replica(wanting[0])
    assert (only().state, verdicts()) == ("ready", {"base": "passed"})
    assert only().max_model_len == 2048
    assert len(only().chat_template_hash) == 64
    assert check_replicas() == []


def test_a_server_that_was_seen_and_went_is_down(configured: FakeVllm) -> None:
    check_and_test()
    configured.__exit__()
    check_replicas()
    assert only().state == "down"


def test_starting_anew_means_loading_again(configured: FakeVllm) -> None:
    check_and_test()
    configured.__exit__()
    sync_replicas([configured.url], starting=True)
    check_replicas()
    assert only().state == "loading"


def test_a_restart_is_noticed_even_between_two_checks(configured: FakeVllm) -> None:
    check_and_test()
    configured.start_time += 1
    assert check_replicas() == [only().pk]
    assert (only().state, verdicts()) == ("loading", {"base": "pending"})


def test_a_single_slow_check_changes_nothing(
    configured: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_and_test()
    monkeypatch.setattr("inference.client.PROBE_S", 0.1)
    configured.always = fake_vllm.hang
    states = []
    for _ in range(3):
        check_replicas()
        states.append(only().state)
    assert states == ["ready", "ready", "failing"]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (fake_vllm.error(503, "Engine is dead"), "busy or going down"),
        (fake_vllm.error(401, "Unauthorized"), "INFERENCE_API_KEY"),
        (fake_vllm.raw(b"<html>"), "senseless"),
        (fake_vllm.raw(b"", 404), "no vLLM at the address"),
    ],
)
def test_a_server_that_answers_wrongly_is_failing(
    configured: FakeVllm, behaviour: fake_vllm.Behaviour, said: str
) -> None:
    configured.always = behaviour
    assert check_replicas() == []
    assert only().state == "failing"
    assert said in only().message


def test_a_server_without_a_model_is_failing(configured: FakeVllm) -> None:
    configured.models = {}
    check_replicas()
    assert (only().state, "no model" in only().message) == ("failing", True)


def test_one_broken_server_does_not_hide_the_others(
    configured: FakeVllm, settings: Settings
) -> None:
    settings.INFERENCE_URLS = [NOBODY, configured.url]
    for replica_id in check_replicas():
        selftest_replica(replica_id)
    assert sorted(Replica.objects.values_list("state", flat=True)) == ["loading", "ready"]


# --- what is served -------------------------------------------------------------------------


def test_a_new_adapter_puts_all_names_to_the_test(configured: FakeVllm) -> None:
    check_and_test()
    configured.models |= {"red": "base"}
    check_replicas()
    assert verdicts() == {"base": "pending", "red": "pending"}
    assert check_and_test().state == "ready"
    assert ServedModel.objects.get(name="red").parent == "base"


def test_an_adapter_that_left_is_no_longer_present(configured: FakeVllm) -> None:
    configured.models |= {"red": "base"}
    check_and_test()
    del configured.models["red"]
    check_and_test()
    assert verdicts() == {"base": "passed"}
    assert ServedModel.objects.filter(name="red").exists()


def test_a_name_that_fails_is_not_used_and_says_why(configured: FakeVllm) -> None:
    configured.models |= {"red": "base"}
    configured.mixes_up, configured.delay_s = True, 0.05
    replica = check_and_test()
    assert verdicts() == {"base": "failed", "red": "passed"}
    assert replica.state == "ready"
    assert 'like "red" instead of itself' in replica.message


def test_what_failed_gets_another_chance(configured: FakeVllm) -> None:
    configured.models |= {"red": "base"}
    configured.mixes_up, configured.delay_s = True, 0.05
    check_and_test()
    configured.mixes_up = False
    assert check_replicas() == []
    Serving.objects.update(tested_at=timezone.now() - replicas.RETEST_AFTER - timedelta(seconds=1))
    check_and_test()
    assert verdicts() == {"base": "passed", "red": "passed"}
    assert only().message == ""


def test_a_name_never_changes_its_meaning(configured: FakeVllm) -> None:
    ServedModel.objects.create(name="base", kind="adapter", parent="other")
    replica = check_and_test()
    assert verdicts() == {"base": "failed"}
    assert replica.state == "failing"
    assert 'already stands for an adapter of "other"' in replica.message


def test_a_selftest_that_breaks_off_is_done_again(configured: FakeVllm) -> None:
    configured.script = [fake_vllm.hang_up]
    replica = check_and_test()
    assert (replica.state, verdicts()) == ("loading", {"base": "pending"})
    assert "cannot be reached" in replica.message
    assert check_and_test().state == "ready"


def test_a_change_in_the_middle_of_a_selftest_voids_it(
    configured: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    [replica_id] = check_replicas()
    record = examination._record_verdicts

    def restarted_meanwhile(*args: Any) -> bool:
        configured.start_time += 1
        check_replicas()
        return record(*args)

    monkeypatch.setattr(examination, "_record_verdicts", restarted_meanwhile)
    assert not selftest_replica(replica_id)
    assert verdicts() == {"base": "pending"}


def test_a_replica_that_keeps_tokenize_to_itself_still_serves(configured: FakeVllm) -> None:
    configured.hides_tokenize = True
    replica = check_and_test()
    assert (replica.state, replica.chat_template_hash) == ("ready", "")


# --- configuration --------------------------------------------------------------------------


def test_a_url_taken_out_is_kept_but_not_used() -> None:
    sync_replicas(["http://a:8000/", "https://a:8000"])
    assert list(Replica.objects.values_list("name", flat=True)) == ["a:8000", "https://a:8000"]
    sync_replicas(["http://b:8000"])
    assert list(Replica.objects.filter(enabled=True).values_list("name", flat=True)) == ["b:8000"]
    assert Replica.objects.count() == 3


def test_the_same_configuration_again_changes_nothing(configured: FakeVllm) -> None:
    check_and_test()
    sync_replicas([configured.url])
    assert only().state == "ready"


def test_only_one_process_checks_at_a_time(configured: FakeVllm) -> None:
    with held_elsewhere("inference.check_replicas"):
        assert check_replicas() == []
        assert not Replica.objects.exists()
    check_replicas()
    with held_elsewhere(f"inference.selftest.{only().pk}"):
        assert not selftest_replica(only().pk)
    assert verdicts() == {"base": "pending"}
    assert selftest_replica(only().pk)


@contextmanager
def held_elsewhere(lock: str) -> Iterator[None]:
    """Another database session holds the lock."""
    parameters = connection.get_connection_params()
    wanted = {"dbname", "user", "password", "host", "port"} & parameters.keys()
    with psycopg.connect(**{key: parameters[key] for key in wanted}) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [key_of(lock)])
        yield
        other.execute("SELECT pg_advisory_unlock(%s)", [key_of(lock)])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda r, m: Replica.objects.filter(pk=r.pk).update(state="sleepy"),
        lambda r, m: Replica.objects.filter(pk=r.pk).update(url="ftp://a"),
        lambda r, m: Replica.objects.create(name="other", url=r.url),
        lambda r, m: ServedModel.objects.create(name="x", kind="adapter", parent=""),
        lambda r, m: ServedModel.objects.create(name="x", kind="base", parent="base"),
        lambda r, m: ServedModel.objects.create(name="", kind="base"),
        lambda r, m: [Serving.objects.create(replica=r, served_model=m) for _ in range(2)],
        lambda r, m: Serving.objects.create(replica=r, served_model=m, selftest="passed"),
        lambda r, m: Serving.objects.create(
            replica=r, served_model=m, selftest="failed", tested_at=timezone.now()
        ),
    ],
)
def test_the_database_refuses_what_cannot_be(wrong: Callable[[Replica, ServedModel], Any]) -> None:
    replica = Replica.objects.create(name="gpu", url="http://gpu:8000")
    model = ServedModel.objects.create(name="base", kind="base")
    with pytest.raises(IntegrityError), transaction.atomic():
        wrong(replica, model)
