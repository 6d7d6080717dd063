"""Fixtures of the tests of runs: Ada's project, a snapshot of it, folders of the test's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annotate.models import Project, User
from annotate.services.projects import create_project
from tests import cast
from tests.loop.runs.material import SMALL, fake, ready_snapshot
from training.models import Snapshot, TrainingRun
from training.services import runs
from training.services.runs import running

Settings = Any
Create = Callable[..., TrainingRun]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of one test is found by another; the engine is a fake unless a test says else."""
    backend = "django.core.files.storage.FileSystemStorage"
    settings.STORAGES = {
        **settings.STORAGES,
        **{
            name: {"BACKEND": backend, "OPTIONS": {"location": tmp_path / name}}
            for name in ("snapshots", "adapters")
        },
    }
    (tmp_path / "tiny").mkdir()
    settings.TRAINING_RUNS = tmp_path / "runs"
    settings.TRAINING_MODEL = str(tmp_path / "tiny")
    settings.TRAINING_LAUNCH = fake("trains")
    monkeypatch.setattr(running, "SYNC_EVERY_S", 0.05)


@pytest.fixture
def ada(db: None) -> User:
    return cast.person("ada")


@pytest.fixture
def tone(ada: User) -> Project:
    return create_project(actor_id=ada.pk, slug="tone", name="Tone")


@pytest.fixture
def snapshot(tone: Project, ada: User, tmp_path: Path) -> Snapshot:
    return ready_snapshot(tone, ada, tmp_path / "draft")


@pytest.fixture
def create(tone: Project, ada: User, snapshot: Snapshot) -> Create:
    """A run on the snapshot, DPO if nothing else is said."""

    def created(**choice: Any) -> TrainingRun:
        asked: dict[str, Any] = {"method": "dpo", "values": SMALL, **choice}
        return runs.create_run(
            project_id=tone.pk, actor_id=ada.pk, snapshot_id=snapshot.pk, **asked
        )

    return created
