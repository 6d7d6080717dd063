"""Celery shells around services."""

from celery import shared_task

from annotate.dispatch import enqueue
from training.queries import snapshots
from training.services import building
from training.services.snapshots import BUILD


@shared_task(name=BUILD)
def build_snapshot(snapshot_id: int) -> None:
    building.build_snapshot(snapshot_id=snapshot_id)


@shared_task(name="training.advance_snapshots", soft_time_limit=30)
def advance_snapshots() -> None:
    """Send the jobs that wait: after a crash, a lost message, or another one of the project."""
    for snapshot_id in snapshots.to_advance():
        enqueue(BUILD, snapshot_id=snapshot_id)
