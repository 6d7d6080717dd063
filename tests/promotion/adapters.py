"""Trained adapters as a run leaves them behind, without the run."""

from pathlib import Path

from django.utils import timezone

from annotate.models import Project, User
from training import adapter_store
from training.models import RunState, Snapshot, SnapshotState, TrainedAdapter, TrainingRun


def trained_adapter(
    folder: Path, project: Project, owner: User, *, base: str, method: str = "dpo"
) -> TrainedAdapter:
    """The adapter in `folder` as the project's next one, its files in the storage."""
    stored = adapter_store.store(folder)
    number = TrainedAdapter.objects.filter(project=project).count() + 1
    run = TrainingRun.objects.create(
        project=project,
        number=number,
        method=method,
        snapshot=snapshot_of(project, owner),
        spec={},
        state=RunState.FINISHED,
        created_by=owner,
        finished_at=timezone.now(),
    )
    return TrainedAdapter.objects.create(
        project=project,
        number=number,
        run=run,
        base=base,
        content_hash=stored.content_hash,
        bytes=stored.bytes,
    )


def snapshot_of(project: Project, owner: User) -> Snapshot:
    snapshot, _ = Snapshot.objects.get_or_create(
        project=project,
        number=1,
        defaults={
            "state": SnapshotState.READY,
            "spec": {},
            "content_hash": "5" * 64,
            "manifest": {},
            "created_by": owner,
            "finished_at": timezone.now(),
        },
    )
    return snapshot
