"""The real engine on a tiny model: estimated, trained, kept; the real worker, ended both ways."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from annotate.launch import plan
from annotate.launch.child import Child
from annotate.models import Project, User
from inference.adapter_files import read_adapter
from tests import cast, services
from tests.faults.breaking import kill_and_restart, wait
from tests.loop.runs.conftest import Create, Settings
from tests.loop.runs.material import fake, ready_snapshot
from tests.loop.runs.test_files import is_alive
from tests.loop.runs.test_running import again, steps
from tests.training.tiny import save_tiny
from training import adapter_store
from training.models import RunMetric, RunState, TrainedAdapter, TrainingRun
from training.services import runs
from training.services.runs import leases, tidying
from training.services.runs.running import run_training

VALUES: dict[str, Any] = {
    "base": {"precision": "fp32"},
    "optimizer": {"lr": 0.01},
    "training": {"max_steps": 4, "groups_per_step": 4, "tokens_per_pack": 600},
    "evaluation": {"answers": 2, "max_new_tokens": 4},
}


@pytest.mark.django_db
def test_a_run_of_the_real_engine(
    create: Create, ada: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings.TRAINING_LAUNCH = ""
    save_tiny("llama", Path(settings.TRAINING_MODEL))
    run = create(values=VALUES)
    run_training(run_id=run.pk)
    ended = again(run)
    assert ended.state == RunState.FINISHED, f"{ended.message}\n{ended.log}"
    assert steps(run) == [1, 2, 3, 4]
    assert (ended.step, ended.steps) == (4, 4)
    assert ended.measured is not None
    assert ended.made is not None
    assert ended.estimate is not None
    assert ended.measured["general_text"]["difference"]["value"] is not None
    assert ended.made["base"]["name"] == "tiny"
    assert ended.estimate["total_mb"] > 0
    assert "spec" not in ended.made
    adapter = TrainedAdapter.objects.get()
    folder = adapter_store.local_folder(adapter.content_hash)
    assert read_adapter(folder).card["base_name"] == adapter.base == "tiny"
    assert settings.TRAINING_MODEL not in (folder / "adapter.json").read_text()

    draft = runs.draft(
        project_id=run.project_id,
        snapshot_id=run.snapshot_id,
        method="dpo",
        values=VALUES,
        parent_id=adapter.pk,
    )
    found = runs.estimate(draft.spec)
    assert found["device"] in ("cpu", "cuda")
    assert found["fits"] is True
    assert 0 < found["weights_mb"] < found["total_mb"] < found["available_mb"]
    assert {part["name"] for part in found["parts"]} >= {"weights, fp32", "gradients, fp32"}


@pytest.fixture
def trainer(transactional_db: None, settings: Settings, tmp_path: Path) -> Iterator[Child]:
    """The Celery worker of queue `train`, with a scripted engine."""
    spec = next(spec for spec in plan.jobs(services.ENV) if spec.name == "trainer")
    spec = services.on_test_database(spec)
    own = {"TRAINING_LAUNCH": fake("trains"), "TRAINING_MODEL": settings.TRAINING_MODEL}
    with services.serving(replace(spec, environment={**spec.environment, **own})) as child:
        yield child


@pytest.mark.django_db(transaction=True)
class TestWorker:
    @pytest.fixture(autouse=True)
    def _own_folders(self, settings: Settings, tmp_path: Path) -> None:
        """The worker, a process of its own, works where the settings say: so does this test."""
        (tmp_path / "tiny").mkdir()
        settings.TRAINING_MODEL = str(tmp_path / "tiny")

    @pytest.fixture
    def run(self, tone: Project, ada: User, tmp_path: Path) -> TrainingRun:
        snapshot = ready_snapshot(tone, ada, tmp_path / "draft")
        return runs.create_run(
            project_id=tone.pk,
            actor_id=ada.pk,
            snapshot_id=snapshot.pk,
            method="dpo",
            values={"training": {"max_steps": 3000}},
        )

    def test_a_killed_worker_takes_its_engine_along_and_the_run_goes_on(
        self, run: TrainingRun, trainer: Child, ada: User
    ) -> None:
        wait("steps", lambda: again(run).step > 5)
        engine = RunMetric.objects.filter(run=run)[0].values["start"]
        assert is_alive(engine)
        kill_and_restart(trainer)
        wait("the engine's end", lambda: not is_alive(engine))
        assert again(run).state == RunState.RUNNING
        long_ago = again(run).heartbeat_at
        assert long_ago is not None
        TrainingRun.objects.filter(pk=run.pk).update(heartbeat_at=long_ago - leases.LOST_AFTER * 2)
        leases.reap()
        leases.send_waiting()
        wait("the second start", lambda: again(run).starts == 2 and again(run).step > 5)
        client = cast.signed_in(ada)
        stopping = client.post("/api/projects/tone/runs/1/cancel").json()
        assert stopping["stopping"]
        wait("the end", lambda: again(run).state == RunState.CANCELED)
        found = steps(run)
        assert found == list(range(1, len(found) + 1))
        assert len({row.values["start"] for row in RunMetric.objects.filter(run=run)}) == 2

    def test_a_worker_that_is_stopped_lets_the_run_save_a_checkpoint(
        self, run: TrainingRun, trainer: Child
    ) -> None:
        wait("steps", lambda: again(run).step > 5)
        begin = time.monotonic()
        services.halt(trainer)
        assert time.monotonic() - begin < 15
        assert again(run).state == RunState.QUEUED
        assert list((tidying.folder_of(run).root / "checkpoints").iterdir())
        connections.close_all()
