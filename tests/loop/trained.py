"""Adapters that nobody trained: rows and files as a finished run leaves them."""

from pathlib import Path
from typing import Any

from django.utils import timezone

from annotate.models import Project, User
from tests.inference.adapter_folders import write_adapter
from training import adapter_store
from training.models import (
    RunState,
    Snapshot,
    SnapshotState,
    TrainedAdapter,
    TrainingRun,
)

COUNTS = {
    "train": {"prompts": 5, "tasks": 5, "rankings": 9},
    "held_out": {"prompts": 1, "tasks": 1, "rankings": 2},
    "labelers": 2,
    "rounds": [1],
}
SPEC: dict[str, Any] = {
    "method": "dpo",
    "base": {"model": "base", "precision": "fp32"},
    "training": {"tokens_per_pack": 4096, "seed": 0},
}
ESTIMATE = {
    "value": 0.7,
    "low": 0.6,
    "high": 0.8,
    "count": 40.0,
    "clusters": 20,
    "method": "cluster_bootstrap",
}
MEASURED: dict[str, Any] = {
    "version": 1,
    "accuracy": ESTIMATE,
    "general_text": {
        "difference": {**ESTIMATE, "value": 0.02, "low": 0.01, "high": 0.03},
        "ratio": 1.02,
    },
    "demonstrations": None,
    "length": None,
    "kl": {"per_token": {**ESTIMATE, "value": 0.1, "low": 0.08, "high": 0.12}, "tokens": 900},
    "missing": {"demonstrations": "the spec names no demonstrations", "length": "not asked for"},
}


def make_snapshot(project: Project, owner: User) -> Snapshot:
    number = project.snapshots.count() + 1
    return Snapshot.objects.create(
        project=project,
        number=number,
        state=SnapshotState.READY,
        spec={},
        content_hash=f"{number:064x}",
        manifest={"counts": COUNTS},
        created_by=owner,
        finished_at=timezone.now(),
    )


def make_run(project: Project, owner: User, *, method: str = "dpo", **values: Any) -> TrainingRun:
    snapshot = values.pop("snapshot", None) or make_snapshot(project, owner)
    return TrainingRun.objects.create(
        project=project,
        number=project.runs.count() + 1,
        method=method,
        snapshot=snapshot,
        spec={**SPEC, "method": method},
        state=RunState.FINISHED,
        finished_at=timezone.now(),
        created_by=owner,
        **{"measured": MEASURED, **values},
    )


def make_adapter(
    project: Project, owner: User, folder: Path, *, base: str = "base", **values: Any
) -> TrainedAdapter:
    """With files of its own in the storage. folder: where they are written first."""
    number = project.adapters.count() + 1
    seed = values.pop("seed", number)
    written = write_adapter(folder / f"adapter-{number}", seed=seed, base_name=base)
    return keep_adapter(project, owner, written, base=base, **values)


def keep_adapter(
    project: Project, owner: User, folder: Path, *, base: str = "base", **values: Any
) -> TrainedAdapter:
    """The adapter in `folder` as that of a finished run."""
    stored = adapter_store.store(folder)
    return TrainedAdapter.objects.create(
        project=project,
        number=project.adapters.count() + 1,
        run=make_run(project, owner, **values),
        base=base,
        content_hash=stored.content_hash,
        bytes=stored.bytes,
    )
