"""Who works on a run: taken by a worker, held by its heartbeat, given back.

Each start has a lease of its own. A worker writes to a run only where the run still has its lease;
one that was thought dead and was not finds out with the next heartbeat, and ends its process.
"""

import logging
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.core.cache import cache
from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotate.cache import forget
from annotate.dispatch import enqueue
from annotate.services import audit
from training.models import RunState, TrainingRun
from training.runs.endings import Ending

log = logging.getLogger(__name__)

TRAIN = "training.run_training"
LOST_AFTER = timedelta(seconds=60)
PULSE_EVERY_S = 10.0
# How often a worker may be lost before the run has made another step.
LOSSES = 3
# Unread messages expire after a minute (annotate.dispatch): then the run is sent again.
SEND_EVERY_S = 60
SENT_AT_A_TIME = 4
LOST = Ending(
    "The worker was lost while it was at work on the run.",
    "The worker's log, or the machine's when it ran out of memory, says why. Then resume the run.",
    again=True,
)


class LeaseLost(Exception):
    """The run is another worker's by now, or it ended."""


@transaction.atomic
def take(run_id: int) -> TrainingRun | None:
    """Begin to work on a run that waits. None: there is nothing to do."""
    run = (
        TrainingRun.objects.select_for_update(of=("self",))
        .select_related("project", "snapshot", "parent", "judge")
        .filter(pk=run_id, state=RunState.QUEUED)
        .first()
    )
    if run is None:
        return None
    now = timezone.now()
    run.state, run.lease, run.heartbeat_at = RunState.RUNNING, uuid4(), now
    run.starts += 1
    run.started_at = run.started_at or now
    run.worker, run.phase = platform.node()[:255], "preparing"
    run.save()
    return run


def in_turn() -> int | None:
    """Which of the runs that wait is next: projects take turns, each with its oldest run.

    The project with the fewest runs under way comes first; of those, the one that was worked for
    longest ago. Whoever sends many runs waits behind their own.
    """
    runs = TrainingRun.objects.filter(project=OuterRef("project"))
    under_way = runs.filter(state=RunState.RUNNING).order_by().values("project")
    last = runs.filter(heartbeat_at__isnull=False).order_by("-heartbeat_at").values("heartbeat_at")
    waiting = TrainingRun.objects.filter(state=RunState.QUEUED).annotate(
        under_way=Coalesce(Subquery(under_way.annotate(n=Count("pk")).values("n")), 0),
        last=Subquery(last[:1]),
    )
    order = ("under_way", F("last").asc(nulls_first=True), "pk")
    return waiting.order_by(*order).values_list("pk", flat=True).first()


def held(run: TrainingRun) -> QuerySet[TrainingRun]:
    """The run as long as this worker has it; nothing afterwards."""
    return TrainingRun.objects.filter(pk=run.pk, state=RunState.RUNNING, lease=run.lease)


def beat(run: TrainingRun, **values: Any) -> bool:
    """Say that it lives, and write what is new. Returns whether it is asked to stop.

    Raises LeaseLost.
    """
    if not held(run).update(heartbeat_at=timezone.now(), **values):
        raise LeaseLost
    return bool(held(run).values_list("stop_requested", flat=True).first())


@contextmanager
def pulse(run: TrainingRun) -> Iterator[None]:
    """Beats from a thread of its own while the block copies files, however long that takes."""
    ended = threading.Event()

    def beat_on() -> None:
        try:
            while not ended.wait(PULSE_EVERY_S):
                held(run).update(heartbeat_at=timezone.now())
        except (DatabaseError, InterfaceError) as problem:
            log.warning("%s: no heartbeat: %s", run, problem)
        finally:
            connections.close_all()

    thread = threading.Thread(target=beat_on, name="pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@transaction.atomic
def stop(run: TrainingRun) -> None:
    """It stopped with a checkpoint: canceled if somebody asked for that, else it waits again.

    Raises LeaseLost.
    """
    found = _locked(run)
    if found.stop_requested:
        _end(found, RunState.CANCELED)
    else:
        _give_back(found)


@transaction.atomic
def lose(run: TrainingRun, ending: Ending) -> None:
    """The process or its worker died: once more, unless that happened too often."""
    found = held(run).select_for_update().first()
    if found is None:
        return
    if found.stop_requested:
        _end(found, RunState.CANCELED)
    elif not ending.again or found.losses + 1 >= LOSSES:
        _end(found, RunState.FAILED, message=ending.message, advice=ending.advice)
    else:
        _give_back(found, losses=found.losses + 1)
        forget(_sent(found.pk))


@transaction.atomic
def fail(run: TrainingRun, *, message: str, advice: str, warnings: list[str] | None = None) -> None:
    """End it, with words for people. Raises LeaseLost."""
    found = _locked(run)
    _end(found, RunState.FAILED, message=message, advice=advice, warnings=warnings or [])


def reap() -> None:
    """Take runs from workers that have not been heard of."""
    silent = TrainingRun.objects.filter(
        state=RunState.RUNNING, heartbeat_at__lt=timezone.now() - LOST_AFTER
    )
    for run in silent:
        lose(run, LOST)


def send_waiting() -> None:
    """Send the job of those that wait for a worker."""
    for run_id in to_send():
        enqueue(TRAIN, run_id=run_id)


def to_send() -> list[int]:
    """The oldest runs that wait, each once a minute: messages to an absent worker pile up."""
    waiting = TrainingRun.objects.filter(state=RunState.QUEUED).order_by("pk")
    oldest = waiting.values_list("pk", flat=True)[:SENT_AT_A_TIME]
    return [pk for pk in oldest if cache.add(_sent(pk), 1, SEND_EVERY_S)]


def _sent(run_id: int) -> str:
    return f"training.sent.{run_id}"


def _locked(run: TrainingRun) -> TrainingRun:
    found = held(run).select_for_update().first()
    if found is None:
        raise LeaseLost
    return found


def _give_back(run: TrainingRun, **values: Any) -> None:
    values |= {"state": RunState.QUEUED, "lease": None, "phase": ""}
    TrainingRun.objects.filter(pk=run.pk).update(**values)


def _end(run: TrainingRun, state: RunState, **values: Any) -> None:
    values |= {"state": state, "lease": None, "phase": "", "stop_requested": False}
    TrainingRun.objects.filter(pk=run.pk).update(finished_at=timezone.now(), **values)
    audit.record(
        verb=f"became {state}", of=run, project_id=run.project_id, actor_id=None, step=run.step
    )
