"""Celery shells around services."""

from celery import shared_task

from annotate.dispatch import enqueue
from training.queries import promotions as promotion_reads
from training.queries import snapshots
from training.services import building, promotions
from training.services.promotions import PROMOTE
from training.services.snapshots import BUILD


@shared_task(name=BUILD)
def build_snapshot(snapshot_id: int) -> None:
    building.build_snapshot(snapshot_id=snapshot_id)


@shared_task(name="training.advance_snapshots", soft_time_limit=30)
def advance_snapshots() -> None:
    """Send the jobs that wait: after a crash, a lost message, or another one of the project."""
    for snapshot_id in snapshots.to_advance():
        enqueue(BUILD, snapshot_id=snapshot_id)


@shared_task(name=PROMOTE)
def promote(promotion_id: int) -> None:
    promotions.perform(promotion_id=promotion_id)


@shared_task(name="training.advance_promotions", soft_time_limit=30)
def advance_promotions() -> None:
    """Send the swaps that wait: for a server, for another swap, after a crash."""
    for promotion_id in promotion_reads.to_advance():
        enqueue(PROMOTE, promotion_id=promotion_id)
