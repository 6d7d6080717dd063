"""Celery shells around services."""

from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down

from annotate.dispatch import enqueue
from annotate.services import generation, generation_store


@shared_task(name="annotate.generate_round")
def generate_round(round_id: int) -> None:
    generation.generate_round(round_id=round_id)


@shared_task(name="annotate.advance_rounds", soft_time_limit=30)
def advance_rounds() -> None:
    """Send the job of every round that waits for one: after a crash, a pause, or slow labelers."""
    for round_id in generation_store.rounds_to_advance():
        enqueue("annotate.generate_round", round_id=round_id)


@worker_shutting_down.connect
def stop_writing(**_: Any) -> None:
    generation.stopping.set()
