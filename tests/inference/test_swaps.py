"""Adapters are swapped without dropping a request, and a failing swap changes nothing."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from celery import current_app
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from inference import queries, reconcile, selftest, tasks
from inference.adapters import SWAP, drop_alias, register_adapter, roll_back, serve_adapter
from inference.completions import CompletionResult, Sampling
from inference.errors import SwapRefused
from inference.examination import at_work, selftest_replica
from inference.models import Adapter, ModelAlias, Replica, Serving
from inference.replicas import check_replicas, look_again, record
from inference.routing import Pool
from tests.inference import fake_vllm
from tests.inference.adapter_folders import write_adapter
from tests.inference.fake_vllm import FakeVllm
from tests.inference.test_replicas import held_elsewhere

pytestmark = pytest.mark.django_db

HELLO = [{"role": "user", "content": "Hello"}]
SAMPLING = Sampling(temperature=0.8, top_p=0.95, max_tokens=16)


@pytest.fixture(autouse=True)
def _short_selftests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "PROBES", selftest.PROBES[:2])


@pytest.fixture
def ready(configured: FakeVllm, settings: Settings, tmp_path: Path) -> FakeVllm:
    """The fake is a replica that serves the base, tested."""
    settings.INFERENCE_ADAPTER_FOLDER = tmp_path / "served"
    look()
    return configured


@pytest.fixture
def second(ready: FakeVllm, settings: Settings) -> Iterator[FakeVllm]:
    """Another ready replica."""
    with FakeVllm() as other:
        settings.INFERENCE_URLS = [ready.url, other.url]
        look()
        yield other


@pytest.fixture
def red(ready: FakeVllm, tmp_path: Path) -> Adapter:
    return register_adapter(folder=write_adapter(tmp_path / "red", seed=1), base="base")


@pytest.fixture
def blue(ready: FakeVllm, tmp_path: Path) -> Adapter:
    return register_adapter(folder=write_adapter(tmp_path / "blue", seed=2), base="base")


def look() -> None:
    """What the regular check does, to the end."""
    for replica_id in check_replicas():
        selftest_replica(replica_id)
    for replica_id in reconcile.replicas_to_mend():
        reconcile.mend_replica(replica_id)
    reconcile.tidy()


def serve(adapter: Adapter | None) -> ModelAlias:
    adapter_id = None if adapter is None else adapter.pk
    return serve_adapter(alias="helper", base="base", adapter_id=adapter_id)


def refusal(adapter: Adapter) -> str:
    with pytest.raises(SwapRefused) as caught:
        serve(adapter)
    return str(caught.value)


def ask(model: str = "helper") -> CompletionResult:
    async def run() -> CompletionResult:
        async with Pool(endpoints) as pool:
            return (await pool.complete(model, HELLO, SAMPLING))[0]

    endpoints = queries.ready_endpoints()
    return asyncio.run(run())


def answering(model: str = "helper") -> str:
    return ask(model).model


def age(since: timedelta = timedelta(hours=1)) -> None:
    """Let time pass for what waits."""
    past = timezone.now() - since
    Adapter.objects.filter(state="retired").update(retired_at=past)
    Serving.objects.filter(probed_at__isnull=False).update(probed_at=past)


def state(adapter: Adapter) -> str:
    adapter.refresh_from_db()
    return adapter.state


def copy_of(adapter: Adapter, settings: Settings) -> Path:
    return Path(settings.INFERENCE_ADAPTER_FOLDER) / adapter.content_hash


def zero() -> str:
    return str(Adapter.objects.get(zero=True))


# --- a swap ---------------------------------------------------------------------------------


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
    serve(register_adapter(folder=write_adapter(tmp_path / "green", seed=3), base="base"))
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
    green = register_adapter(folder=write_adapter(tmp_path / "green", seed=3), base="base")
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
            patience = time.monotonic() + 20
            while not answers or answers[-1].model != meant:
                assert time.monotonic() < patience
                time.sleep(0.005)
    finally:
        done.set()
        thread.join()
    assert {answer.model for answer in answers} == {str(red), str(blue)}
    assert all(answer.text.startswith(answer.model) for answer in answers)
    assert answering() == str(red)


# --- a swap that is refused -----------------------------------------------------------------


def test_of_two_swaps_at_once_one_is_refused(red: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.adapters.SWAP_WAIT_S", 0.1)
    with held_elsewhere(SWAP):
        assert "just being swapped in" in refusal(red)
    assert serve(red).current == red


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda f: setattr(f, "loads_adapters", False), "--enable-lora"),
        (lambda f: setattr(f, "max_loras", 2), "places for 2 adapters"),
        (lambda f: setattr(f, "lists_only", True), "did not pass its test"),
        (
            lambda f: f.lora_script.append(
                fake_vllm.error(500, "LoRA rank 8 is greater than max_lora_rank 1.")
            ),
            "has rank 8, .* takes at most 1. Start it with --max-lora-rank 8",
        ),
        (lambda f: f.lora_script.append(fake_vllm.error(500, "no space")), "did not load .*space"),
        (lambda f: f.lora_script.append(fake_vllm.raw(b"ok")), "does not list it"),
        (lambda f: f.lora_script.append(fake_vllm.hang_up), "was not swapped in: .*reached"),
    ],
    ids=["no LoRA", "full", "lies", "rank", "error", "not listed", "killed"],
)
def test_a_load_that_fails_leaves_everything_as_it_was(
    ready: FakeVllm, red: Adapter, prepare: Callable[[FakeVllm], None], said: str
) -> None:
    prepare(ready)
    with pytest.raises(SwapRefused, match=said):
        serve(red)
    assert ready.adapters() == []
    assert not ModelAlias.objects.exists()
    assert answering("base") == "base"
    assert state(red) == "retired"


def test_what_was_served_before_a_failed_swap_still_is(
    ready: FakeVllm, red: Adapter, blue: Adapter
) -> None:
    serve(red)
    ready.lora_script = [fake_vllm.error(500, "out of memory")]
    assert "out of memory" in refusal(blue)
    assert (answering(), state(red)) == (str(red), "serving")
    serve(blue)
    assert answering() == str(blue)


def test_an_adapter_that_disturbs_others_is_taken_back(
    ready: FakeVllm, red: Adapter, blue: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(red)
    good = ready.answer

    def disturbed(body: fake_vllm.Json) -> fake_vllm.Json:
        mixed = body["model"] == str(red) and len({r.get("model") for r in ready.under_way}) > 1
        return fake_vllm.good_reply(body, str(blue)) if mixed else good(body)

    monkeypatch.setattr(ready, "answer", disturbed)
    ready.delay_s = 0.02
    assert f'"{red}" would suffer' in refusal(blue)
    assert ready.adapters() == [zero(), str(red)]


def test_one_replica_that_fails_stops_the_swap_on_all(
    ready: FakeVllm, second: FakeVllm, red: Adapter
) -> None:
    second.lora_script = [fake_vllm.error(500, "no")]
    refusal(red)
    assert str(red) not in ready.models
    serve(red)
    assert str(red) in ready.models
    assert str(red) in second.models


def test_no_replica_is_ready(ready: FakeVllm, red: Adapter) -> None:
    Replica.objects.update(state="down")
    assert "No inference server is ready" in refusal(red)


def test_a_tampered_adapter_is_refused_before_it_is_loaded(
    ready: FakeVllm, red: Adapter, tmp_path: Path
) -> None:
    (tmp_path / "red" / "adapter_model.safetensors").write_bytes(b"x")
    assert "cut off or was changed" in refusal(red)
    assert ready.lora_calls == []


def test_a_tampered_copy_is_made_anew(
    ready: FakeVllm, red: Adapter, blue: Adapter, settings: Settings
) -> None:
    serve(red)
    (copy_of(red, settings) / "adapter_model.safetensors").write_bytes(b"x")
    ready.restart()
    look()
    look()
    assert answering() == str(red)
    assert (copy_of(red, settings) / "adapter_model.safetensors").stat().st_size > 100


def test_what_cannot_be_served_is_not_registered(ready: FakeVllm, tmp_path: Path) -> None:
    for number, (options, base, said) in enumerate(
        [
            ({"rank": 600}, "base", "at most 512"),
            ({"base_name": "other"}, "base", 'trained on "other"'),
            ({}, "stranger", "No inference server has served"),
        ]
    ):
        folder = write_adapter(tmp_path / str(number), **options)  # type: ignore[arg-type]
        with pytest.raises(SwapRefused, match=said):
            register_adapter(folder=folder, base=base)


def test_names_keep_their_meaning(red: Adapter) -> None:
    with pytest.raises(SwapRefused, match="a model of its own"):
        serve_adapter(alias="base", base="base", adapter_id=red.pk)
    serve(red)
    with pytest.raises(SwapRefused, match="another base"):
        serve_adapter(alias="helper", base="other", adapter_id=None)
    with pytest.raises(SwapRefused, match="no adapter of"):
        serve_adapter(alias="new", base="other", adapter_id=red.pk)
    with pytest.raises(SwapRefused, match="Nothing was ever served"):
        roll_back(alias="nobody")


# --- mending --------------------------------------------------------------------------------


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
        lambda a, b: Adapter.objects.update(zero=True),
        lambda a, b: Adapter.objects.update(content_hash=a.content_hash),
        lambda a, b: ModelAlias.objects.create(name="", base="base"),
    ],
)
def test_the_database_refuses_what_cannot_be(
    red: Adapter, blue: Adapter, wrong: Callable[[Adapter, Adapter], object]
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        wrong(red, blue)
