"""A run from its folder to its end, whatever happens on the way; the engine is scripted."""

import fcntl
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.storage import storages
from django.db import connections
from django.utils import timezone

from annotate.models import AuditEvent, User
from tests.loop.runs.conftest import Create, Settings
from tests.loop.runs.fake_engine import TOO_LONG
from tests.loop.runs.material import fake
from tests.patience import PATIENCE_S
from training import adapter_store
from training.models import RunMetric, RunState, Snapshot, TrainedAdapter, TrainingRun
from training.queries import runs as reads
from training.services import runs
from training.services.runs import leases, results, running, tidying
from training.services.runs.running import run_training

LONG = {"training": {"max_steps": 400}}


def again(run: TrainingRun) -> TrainingRun:
    """As the database has it now."""
    return TrainingRun.objects.get(pk=run.pk)


def steps(run: TrainingRun) -> list[int]:
    return [line.values["step"] for line in RunMetric.objects.filter(run=run)]


def folder_of(run: TrainingRun) -> Path:
    return tidying.folder_of(run).root


def until(what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def at_work(run: TrainingRun) -> Iterator[None]:
    """A worker that runs it meanwhile; at the end it has ended."""

    def work() -> None:
        try:
            run_training(run_id=run.pk)
        finally:
            connections.close_all()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        until(lambda: again(run).step > 3 or not worker.is_alive())
        assert worker.is_alive(), again(run).message
        yield
    finally:
        worker.join(PATIENCE_S)
        assert not worker.is_alive()


@pytest.mark.django_db
class TestTheEnd:
    def test_a_finished_run_leaves_its_adapter_and_what_was_measured(self, create: Create) -> None:
        run = create()
        run_training(run_id=run.pk)
        ended = again(run)
        assert ended.state == RunState.FINISHED, ended.message
        assert (ended.step, ended.steps, ended.starts) == (3, 3, 1)
        assert steps(run) == [1, 2, 3]
        assert ended.measured == {"accuracy": {"value": 0.75}}
        assert ended.made == {"seeds": {"training": 0}}, "not the spec, which has paths in it"
        assert ended.warnings == ["The data are few."]
        assert reads.detail(ended)["left_out"] == {
            "share": 0.125,
            "parts": [{**TOO_LONG, "share": 0.125}],
        }
        assert "fake engine, trains" in ended.log
        assert ended.worker
        adapter = TrainedAdapter.objects.get()
        assert (adapter.number, adapter.run, adapter.base) == (1, ended, "tiny")
        folder = adapter_store.local_folder(adapter.content_hash)
        assert adapter.bytes == sum(path.stat().st_size for path in folder.iterdir())
        kept = {path.name for path in folder_of(run).iterdir()}
        assert {"adapter", "metrics.jsonl", "run.json"} <= kept
        assert not {"checkpoints", "data"} & kept
        verbs = AuditEvent.objects.filter(object_type="trainingrun").values_list("verb", flat=True)
        assert sorted(verbs) == ["became finished", "created"]

    def test_the_folder_has_the_snapshots_files_and_the_bases_place(
        self, create: Create, settings: Settings
    ) -> None:
        settings.TRAINING_LAUNCH = fake("diverges")
        run = create()
        run_training(run_id=run.pk)
        folder = folder_of(run)
        spec = json.loads((folder / "spec.json").read_text())
        assert spec["base"]["model"] == settings.TRAINING_MODEL
        assert len((folder / "data/train/rankings.jsonl").read_text().splitlines()) == 8
        assert (folder / "data/general.txt").stat().st_size > 1000

    @pytest.mark.parametrize(
        ("script", "message", "advice"),
        [
            ("diverges", "not a finite number", "Lower optimizer.lr"),
            ("fills_disk", "The disk is full.", "then resume the run"),
            ("fills_disk_wholly", "The disk is full.", "then resume the run"),
            ("nothing", "KeyError: 'nothing'", "The log has the detail"),
        ],
    )
    def test_a_failure_is_said_in_words(
        self, create: Create, settings: Settings, script: str, message: str, advice: str
    ) -> None:
        settings.TRAINING_LAUNCH = fake(script)
        run = create()
        run_training(run_id=run.pk)
        ended = again(run)
        assert ended.state == RunState.FAILED
        assert message in ended.message
        assert advice in ended.advice
        assert not TrainedAdapter.objects.exists()

    def test_a_launcher_that_is_not_there(self, create: Create, settings: Settings) -> None:
        settings.TRAINING_LAUNCH = "no-such-launcher --config x"
        run = create()
        run_training(run_id=run.pk)
        assert again(run).state == RunState.FAILED
        assert "no-such-launcher" in again(run).message

    def test_a_changed_snapshot_is_refused(self, create: Create, snapshot: Snapshot) -> None:
        run = create()
        storages["snapshots"].open(f"{snapshot.content_hash}/train/rankings.jsonl", "wb").write(
            b"{}\n"
        )
        run_training(run_id=run.pk)
        assert "was changed in the storage" in again(run).message
        assert again(run).state == RunState.FAILED

    def test_a_folder_of_another_databases_run_is_not_gone_on_with(self, create: Create) -> None:
        run = create()
        for name in ("checkpoints/step-000002", "adapter"):
            (folder_of(run) / name).mkdir(parents=True)
        run_training(run_id=run.pk)
        assert again(run).state == RunState.FINISHED
        assert steps(run) == [1, 2, 3]

    def test_another_base_is_refused(
        self, create: Create, settings: Settings, tmp_path: Path
    ) -> None:
        run = create()
        (tmp_path / "other").mkdir()
        settings.TRAINING_MODEL = str(tmp_path / "other")
        run_training(run_id=run.pk)
        assert "this worker trains on other" in again(run).message

    def test_a_storage_that_is_full(
        self, create: Create, ada: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(folder: Path) -> Any:
            raise OSError(28, "No space left on device")

        run = create()
        with monkeypatch.context() as patch:
            patch.setattr(adapter_store, "store", full)
            run_training(run_id=run.pk)
        assert (again(run).state, again(run).message) == (RunState.FAILED, "The disk is full.")
        runs.resume_run(run_id=run.pk, actor_id=ada.pk)
        run_training(run_id=run.pk)
        assert again(run).state == RunState.FINISHED, "what was trained is not trained again"
        assert again(run).starts == 2
        assert len({row.values["start"] for row in RunMetric.objects.filter(run=run)}) == 1

    def test_the_adapter_is_there_once_whatever_happens_in_between(
        self, create: Create, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Killed after the files were stored, and before the database knows of them."""

        def killed(*_: Any) -> Any:
            raise leases.LeaseLost

        run = create()
        with monkeypatch.context() as patch:
            patch.setattr(results, "_finish", killed)
            run_training(run_id=run.pk)
        assert again(run).state == RunState.RUNNING
        silent(run)
        leases.reap()
        run_training(run_id=run.pk)
        run_training(run_id=run.pk)
        assert again(run).state == RunState.FINISHED
        assert TrainedAdapter.objects.count() == 1


def silent(run: TrainingRun) -> None:
    """Nobody has heard of its worker for a while."""
    long_ago = timezone.now() - leases.LOST_AFTER - timedelta(seconds=1)
    TrainingRun.objects.filter(pk=run.pk).update(heartbeat_at=long_ago)


@pytest.mark.django_db
class TestLosses:
    def test_a_killed_process_goes_on_from_its_checkpoint(
        self, create: Create, settings: Settings
    ) -> None:
        settings.TRAINING_LAUNCH = fake("dies_later")
        run = create(values={"training": {"max_steps": 9}})
        run_training(run_id=run.pk)
        lost = again(run)
        assert (lost.state, lost.losses, lost.lease) == (RunState.QUEUED, 0 + 1, None)
        assert steps(run) == [1, 2, 3, 4, 5, 6, 7]
        run_training(run_id=run.pk)
        assert again(run).state == RunState.FINISHED
        assert steps(run) == list(range(1, 10)), "the repeated steps are there once"
        found = RunMetric.objects.get(run=run, position=5)
        assert found.values["loss"] != 9.0, "and are those of the second start"
        assert again(run).losses == 0

    def test_one_that_always_dies_fails_in_words(self, create: Create, settings: Settings) -> None:
        settings.TRAINING_LAUNCH = fake("dies")
        run = create()
        for _ in range(leases.LOSSES):
            assert again(run).state == RunState.QUEUED
            run_training(run_id=run.pk)
        assert again(run).state == RunState.FAILED
        assert "lack of memory" in again(run).message
        assert again(run).starts == leases.LOSSES

    def test_the_runs_of_a_silent_worker_wait_again(self, create: Create, ada: User) -> None:
        run, canceled, alive = create(), create(), create()
        for one in (run, canceled, alive):
            assert leases.take(one.pk) is not None
        runs.cancel_run(run_id=canceled.pk, actor_id=ada.pk)
        silent(run)
        silent(canceled)
        leases.reap()
        assert [again(one).state for one in (run, canceled, alive)] == [
            RunState.QUEUED,
            RunState.CANCELED,
            RunState.RUNNING,
        ]
        for _ in range(leases.LOSSES - 1):
            assert leases.take(run.pk) is not None
            silent(run)
            leases.reap()
        assert again(run).state == RunState.FAILED
        assert "worker was lost" in again(run).message

    def test_waiting_runs_are_sent_but_not_all_the_time(self, create: Create) -> None:
        made = [create().pk for _ in range(leases.SENT_AT_A_TIME + 1)]
        assert leases.to_send() == made[:-1]
        assert leases.to_send() == []
        assert leases.take(made[0]) is not None
        assert leases.to_send() == [made[-1]]

    def test_a_folder_in_which_another_process_is_at_work_is_waited_for(
        self, create: Create
    ) -> None:
        run = create()
        folder_of(run).mkdir(parents=True)
        with (folder_of(run) / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            run_training(run_id=run.pk)
            assert (again(run).state, again(run).losses) == (RunState.QUEUED, 0)
        run_training(run_id=run.pk)
        assert again(run).state == RunState.FINISHED

    def test_a_run_is_taken_once(self, create: Create) -> None:
        run = create()
        first = leases.take(run.pk)
        assert first is not None
        assert leases.take(run.pk) is None
        silent(run)
        leases.reap()
        second = leases.take(run.pk)
        assert second is not None
        with pytest.raises(leases.LeaseLost):
            leases.beat(first)
        assert leases.beat(second) is False

    def test_checkpoints_of_a_failed_run_are_kept_for_a_while(
        self, create: Create, settings: Settings
    ) -> None:
        settings.TRAINING_LAUNCH = fake("diverges")
        run = create()
        run_training(run_id=run.pk)
        checkpoint = folder_of(run) / "checkpoints" / "step-000001"
        checkpoint.mkdir(parents=True)
        tidying.tidy_runs()
        assert checkpoint.exists()
        old = timezone.now() - timedelta(days=settings.TRAINING_KEEP_DAYS + 1)
        TrainingRun.objects.filter(pk=run.pk).update(finished_at=old)
        tidying.tidy_runs()
        assert not checkpoint.exists()
        assert (folder_of(run) / "spec.json").exists()


@pytest.mark.django_db(transaction=True)
class TestMeanwhile:
    def test_a_canceled_run_saves_a_checkpoint_and_goes_on_later(
        self, create: Create, ada: User
    ) -> None:
        run = create(values=LONG)
        with at_work(run):
            shown = again(run)
            assert (shown.state, shown.phase, shown.steps) == (RunState.RUNNING, "training", 400)
            runs.cancel_run(run_id=run.pk, actor_id=ada.pk)
        assert again(run).state == RunState.CANCELED
        assert again(run).message == ""
        done = again(run).step
        assert [one.name for one in (folder_of(run) / "checkpoints").iterdir()][-1:]
        runs.resume_run(run_id=run.pk, actor_id=ada.pk)
        with at_work(run):
            until(lambda: again(run).step > done)
            runs.cancel_run(run_id=run.pk, actor_id=ada.pk)
        found = steps(run)
        assert found == list(range(1, len(found) + 1))
        assert len({row.values["start"] for row in RunMetric.objects.filter(run=run)}) == 2

    def test_a_worker_that_stops_gives_the_run_back(
        self, create: Create, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stopping = threading.Event()
        monkeypatch.setattr(running, "stopping", stopping)
        run = create(values=LONG)
        with at_work(run):
            stopping.set()
        assert (again(run).state, again(run).losses) == (RunState.QUEUED, 0)
        assert list((folder_of(run) / "checkpoints").iterdir())

    def test_a_lost_lease_ends_the_process(self, create: Create) -> None:
        run = create(values=LONG)
        with at_work(run):
            TrainingRun.objects.filter(pk=run.pk).update(lease=uuid4())
        assert again(run).state == RunState.RUNNING, "it is another worker's"
        assert not tidying.folder_of(run).is_held()
        before = RunMetric.objects.filter(run=run).count()
        time.sleep(0.2)
        assert RunMetric.objects.filter(run=run).count() == before

    def test_a_deleted_folder_begins_anew(self, create: Create, ada: User) -> None:
        run = create(values=LONG)
        with at_work(run):
            runs.cancel_run(run_id=run.pk, actor_id=ada.pk)
        shutil.rmtree(folder_of(run))
        runs.resume_run(run_id=run.pk, actor_id=ada.pk)
        with at_work(run):
            runs.cancel_run(run_id=run.pk, actor_id=ada.pk)
        found = steps(run)
        assert found == list(range(1, len(found) + 1))
