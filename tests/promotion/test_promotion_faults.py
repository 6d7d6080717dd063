"""Whatever breaks during a promotion, one thing is served, it is known which, and why."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.files.storage import storages
from django.db import OperationalError, connections

from annotate.errors import Conflict
from annotate.models import Project, User
from inference import queries
from inference.completions import CompletionResult, Sampling
from inference.models import Adapter, Replica
from inference.routing import Pool
from tests import cast
from tests.inference import fake_vllm
from tests.inference.fake_vllm import FakeVllm
from tests.inference.swaps.acting import age, look
from tests.patience import PATIENCE_S
from tests.promotion.conftest import answering, elsewhere
from training.models import Promotion, TrainedAdapter
from training.queries import promotions as reads
from training.services import promotions

pytestmark = pytest.mark.django_db(transaction=True)
HELLO = [{"role": "user", "content": "Hello"}]
SAMPLING = Sampling(temperature=0.8, top_p=0.95, max_tokens=16)


def ask(adapter: TrainedAdapter | None, project: Project) -> Promotion:
    adapter_id = adapter.pk if adapter else None
    return promotions.promote(project_id=project.pk, actor_id=None, adapter_id=adapter_id)


def performed(promotion: Promotion) -> Promotion:
    promotions.perform(promotion_id=promotion.pk)
    promotion.refresh_from_db()
    return promotion


def served(adapter: TrainedAdapter) -> str:
    return f"base@{adapter.content_hash[:16]}"


def file_of(adapter: TrainedAdapter) -> Path:
    return Path(storages["adapters"].path(f"{adapter.content_hash}/adapter_model.safetensors"))


class Killed(BaseException):
    """The process is gone: nothing that would clean up runs."""


def test_killed_between_the_flip_and_the_end(
    ready: FakeVllm, tone: Project, red: TrainedAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(red, tone)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(promotions, "_finish", killed)
        with pytest.raises(Killed):
            promotions.perform(promotion_id=asked.pk)
    asked.refresh_from_db()
    # What requests get is what is said to be the model.
    assert (asked.state, reads.current(tone.pk)) == ("swapping", red)
    assert answering() == served(red)
    assert reads.to_advance() == [asked.pk]
    done = performed(asked)
    assert (done.state, done.attempts, reads.current(tone.pk)) == ("done", 2, red)
    assert performed(done).finished_at == done.finished_at  # sent once more: nothing happens


def test_after_the_flip_it_only_goes_forward(
    ready: FakeVllm, tone: Project, ada: User, red: TrainedAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often letting the rounds follow breaks off, and whatever becomes of the servers."""
    asked = ask(red, tone)
    monkeypatch.setattr(promotions, "ATTEMPTS", 2)

    def broken(**_: object) -> int:
        raise OperationalError("number of parameters must be between 0 and 65535")

    with monkeypatch.context() as patch:
        patch.setattr(promotions, "follow", broken)
        for _ in range(4):
            with pytest.raises(OperationalError):
                promotions.perform(promotion_id=asked.pk)
            ready.max_loras = 0
            file_of(red).unlink(missing_ok=True)
            asked.refresh_from_db()
            assert (asked.state, asked.flipped_at is None) == ("swapping", False)
            assert asked.message.startswith("Requests get the new model.")
    found = cast.signed_in(ada).get("/api/projects/tone/serving").json()
    assert (found["current"], found["promotion"]["flipped_at"] is None) == (red.number, False)
    assert reads.to_advance() == [asked.pk]
    with pytest.raises(Conflict, match="is just being swapped in"):
        ask(None, tone)
    done = performed(asked)
    assert (done.state, done.message) == ("done", "")
    assert reads.trail(tone.pk) == [None, red.pk]


def test_two_jobs_of_one_promotion(ready: FakeVllm, tone: Project, red: TrainedAdapter) -> None:
    asked = ask(red, tone)
    with ThreadPoolExecutor(2) as threads:
        jobs = [threads.submit(elsewhere, performed, asked) for _ in range(2)]
        for job in jobs:
            job.result(timeout=PATIENCE_S)
    asked.refresh_from_db()
    assert (asked.state, asked.attempts) == ("done", 1)
    assert [call for call in ready.lora_calls if call.startswith("load")] == [
        f"load {Adapter.objects.get(zero=True)}",
        f"load {served(red)}",
    ]


def test_two_clicks_in_one_instant(
    ready: FakeVllm, tone: Project, red: TrainedAdapter, blue: TrainedAdapter
) -> None:
    def click(adapter: TrainedAdapter) -> Promotion | Conflict:
        try:
            return elsewhere(ask, adapter, tone)
        except Conflict as conflict:
            return conflict

    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(click, [red, blue] * 3))
    made = Promotion.objects.get()
    refused = [each for each in found if isinstance(each, Conflict)]
    assert [each for each in found if isinstance(each, Promotion)] == [made] * 3
    assert {conflict.error_code for conflict in refused} == {"promotion_under_way"}
    assert performed(made).state == "done"


def test_vllm_dies_in_the_middle_and_comes_back_empty(
    ready: FakeVllm, tone: Project, red: TrainedAdapter, blue: TrainedAdapter
) -> None:
    performed(ask(red, tone))
    ready.lora_script = [fake_vllm.hang_up] * 2  # the load, and taking it back
    waiting = performed(ask(blue, tone))
    assert (waiting.state, waiting.attempts) == ("queued", 1)
    assert "was not swapped in" in waiting.message
    assert (reads.current(tone.pk), answering()) == (red, served(red))
    ready.restart()
    assert performed(waiting).state == "done"
    age()  # or what was asked a moment ago would be brought back
    look()
    look()
    assert (reads.current(tone.pk), answering()) == (blue, served(blue))
    assert served(red) not in ready.models


def test_a_replica_that_comes_back_empty_gets_the_current_one(
    ready: FakeVllm, tone: Project, red: TrainedAdapter
) -> None:
    performed(ask(red, tone))
    ready.restart()
    look()
    look()
    assert answering() == served(red)


@pytest.mark.parametrize("how", ["cut off", "tampered with", "gone"])
def test_a_broken_file_ends_the_promotion_in_words(
    how: str, ready: FakeVllm, tone: Project, red: TrainedAdapter, blue: TrainedAdapter
) -> None:
    performed(ask(red, tone))
    content = file_of(blue).read_bytes()
    if how == "gone":
        file_of(blue).unlink()
    else:
        file_of(blue).write_bytes(content[:-9] if how == "cut off" else content[:-1] + b"!")
    failed = performed(ask(blue, tone))
    assert failed.state == "failed"
    assert "missing" in failed.message or "cut off or was changed" in failed.message
    assert (reads.current(tone.pk), answering()) == (red, served(red))
    assert served(blue) not in ready.models
    file_of(blue).write_bytes(content)
    assert performed(ask(blue, tone)).state == "done"


def test_a_full_disk_is_waited_for(
    ready: FakeVllm, tone: Project, red: TrainedAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    asked = ask(red, tone)
    with monkeypatch.context() as patch:
        patch.setattr("inference.loading.copy_adapter", full)
        waiting = performed(asked)
    assert waiting.state == "queued"
    assert "No space left on device" in waiting.message
    assert performed(asked).state == "done"


def test_a_rollback_under_load_drops_no_request(
    ready: FakeVllm, tone: Project, ada: User, red: TrainedAdapter, blue: TrainedAdapter
) -> None:
    performed(ask(red, tone))
    performed(ask(blue, tone))
    ready.delay_s = 0.005
    now, done = [queries.ready_endpoints()], threading.Event()
    answers: list[CompletionResult] = []

    async def client(pool: Pool) -> None:
        while not done.is_set():
            await pool.refresh(now[0])
            answers.append((await pool.complete("tone/current", HELLO, SAMPLING))[0])

    async def load() -> None:
        async with Pool(now[0]) as pool, asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(client(pool))

    def answered_by(adapter: TrainedAdapter) -> None:
        """Wait until the load has got an answer from it."""
        now[0], before = queries.ready_endpoints(), len(answers)
        patience = time.monotonic() + PATIENCE_S
        while served(adapter) not in {answer.model for answer in answers[before:]}:
            assert not loading.done()
            assert time.monotonic() < patience
            time.sleep(0.01)

    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(asyncio.run, load())
        try:
            answered_by(blue)
            for adapter in (red, blue, red):
                if adapter is red:
                    performed(promotions.roll_back(project_id=tone.pk, actor_id=ada.pk))
                else:
                    performed(ask(blue, tone))
                answered_by(adapter)
        finally:
            done.set()
    loading.result()
    connections.close_all()
    assert {answer.model for answer in answers} == {served(red), served(blue)}
    assert all(answer.text.startswith(answer.model) for answer in answers)
    assert answering() == served(red)
    assert not Promotion.objects.exclude(state="done").exists()
    assert Replica.objects.get().state == "ready"
