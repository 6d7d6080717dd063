"""Celery shells around services."""

from typing import Any

from celery import shared_task
from celery.signals import celeryd_init, task_postrun, task_prerun, worker_shutting_down

from annotate.dispatch import enqueue
from annotate.services import generation, generation_turns


@shared_task(name="annotate.generate_round")
def generate_round(round_id: int) -> None:
    """The round says that there is work; which one is written is seen once there is a place."""
    generation.generate_in_turn()


@shared_task(name="annotate.advance_rounds", soft_time_limit=30)
def advance_rounds() -> None:
    """Send the job of every round that waits for one: after a crash, a pause, or slow labelers."""
    for round_id in generation_turns.waiting_rounds():
        enqueue("annotate.generate_round", round_id=round_id)


@celeryd_init.connect
def know_places(options: dict[str, Any], **_: Any) -> None:
    generation.places.count = options.get("concurrency") or 0


@task_prerun.connect
def take_place(**_: Any) -> None:
    generation.places.take()


@task_postrun.connect
def give_place(**_: Any) -> None:
    generation.places.give()


@worker_shutting_down.connect
def stop_writing(**_: Any) -> None:
    generation.stopping.set()
