"""Asking for a training run, giving up on it, going on with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from annotate.dispatch import enqueue
from annotate.errors import Conflict, Invalid, NotFound
from annotate.models import Project
from annotate.services import audit
from annotate.services.numbering import next_number
from training.models import RunState, Snapshot, SnapshotState, TrainedAdapter, TrainingRun
from training.models.run import UNFINISHED_RUNS
from training.runs.assembly import Choice, assemble, data_for, method_named
from training.runs.base_model import name_of
from training.runs.launching import shards
from training.runs.limits import limits_of
from training.services.runs.estimates import estimate, known_estimate, refuse_unknown_layers
from training.services.runs.leases import TRAIN

__all__ = ["Draft", "cancel_run", "create_run", "draft", "estimate", "resume_run"]

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Draft:
    """A run that could be created."""

    spec: Spec
    snapshot: Snapshot
    parent: TrainedAdapter | None
    judge: TrainedAdapter | None


def draft(
    *,
    project_id: int,
    snapshot_id: int,
    method: str,
    preset: str = "",
    values: Mapping[str, Any] | None = None,
    parent_id: int | None = None,
    parent_use: str = "continue",
    judge_id: int | None = None,
) -> Draft:
    """Check what is asked for. Raises Invalid with the fields at fault, NotFound."""
    snapshot = Snapshot.objects.filter(pk=snapshot_id, project_id=project_id).first()
    if snapshot is None:
        raise NotFound
    if snapshot.state != SnapshotState.READY or snapshot.manifest is None:
        message = f"Snapshot {snapshot.number} is {snapshot.state}: choose one that is ready."
        raise Invalid(message, fields={"snapshot": [message]})
    wanted = method_named(method)
    base = name_of(settings.TRAINING_MODEL)
    parent = _adapter(project_id, parent_id, base, "parent")
    judge = _adapter(project_id, judge_id, base, "judge")
    # A reward model may start as what answers: as the adapter of SFT, in InstructGPT.
    if parent is not None and parent.scores and wanted != "reward":
        message = f"Adapter {parent.number} is a reward model: {wanted} cannot go on from it."
        raise Invalid(message, fields={"parent": [message]})
    if judge is not None and not judge.scores:
        message = f"Adapter {judge.number} is no reward model: choose one as the judge."
        raise Invalid(message, fields={"judge": [message]})
    spec = assemble(
        Choice(
            method=wanted,
            preset=preset,
            values=values or {},
            data=data_for(wanted, snapshot.manifest),
            base=base,
            parent=parent.content_hash if parent else "",
            parent_use=parent_use,
            judge=judge.content_hash if judge else "",
            limits=limits_of(snapshot.manifest["counts"], wanted, preset),
            own_template=bool(settings.CHAT_TEMPLATE),
            chat_template_kwargs=settings.CHAT_TEMPLATE_KWARGS,
            sharded=shards(settings.TRAINING_LAUNCH),
        )
    )
    return Draft(spec, snapshot, parent, judge)


@transaction.atomic
def create_run(
    *,
    project_id: int,
    actor_id: int,
    snapshot_id: int,
    method: str,
    preset: str = "",
    values: Mapping[str, Any] | None = None,
    parent_id: int | None = None,
    parent_use: str = "continue",
    judge_id: int | None = None,
) -> TrainingRun:
    """A run that a worker takes up. values: a part of the engine's spec, by section.

    Raises Invalid with the fields at fault, NotFound.
    """
    project = Project.objects.select_for_update().get(pk=project_id)
    found = draft(
        project_id=project_id,
        snapshot_id=snapshot_id,
        method=method,
        preset=preset,
        values=values,
        parent_id=parent_id,
        parent_use=parent_use,
        judge_id=judge_id,
    )
    refuse_unknown_layers(found.spec)
    run = TrainingRun.objects.create(
        project=project,
        number=next_number(TrainingRun.objects.filter(project=project)),
        method=found.spec["method"],
        preset=preset,
        snapshot=found.snapshot,
        parent=found.parent,
        judge=found.judge,
        spec=found.spec,
        estimate=known_estimate(found.spec),
        created_by_id=actor_id,
    )
    audit.record(
        verb="created",
        of=run,
        project_id=project_id,
        actor_id=actor_id,
        method=run.method,
        snapshot=found.snapshot.number,
    )
    enqueue(TRAIN, run_id=run.pk)
    return run


def _adapter(project_id: int, pk: int | None, base: str, field: str) -> TrainedAdapter | None:
    if pk is None:
        return None
    adapter = (
        TrainedAdapter.objects.select_related("run").filter(pk=pk, project_id=project_id).first()
    )
    if adapter is None:
        raise NotFound
    if adapter.base != base:
        message = (
            f"Adapter {adapter.number} was trained on {adapter.base}, and runs are trained on "
            f"{base} now. Choose an adapter of {base}."
        )
        raise Invalid(message, fields={field: [message]})
    return adapter


@transaction.atomic
def cancel_run(*, run_id: int, actor_id: int) -> TrainingRun:
    """Stop it; one that is running saves a checkpoint first. Raises Conflict when it ended."""
    run = _locked(run_id)
    if run.state == RunState.CANCELED or run.stop_requested:
        return run
    if run.state not in UNFINISHED_RUNS:
        raise Conflict(f"The run is {run.state}; there is nothing to cancel.")
    if run.state == RunState.RUNNING:
        run.stop_requested = True
    else:
        run.state, run.finished_at = RunState.CANCELED, timezone.now()
    run.save(update_fields=["state", "finished_at", "stop_requested"])
    audit.record(verb="canceled", of=run, project_id=run.project_id, actor_id=actor_id)
    return run


@transaction.atomic
def resume_run(*, run_id: int, actor_id: int) -> TrainingRun:
    """Go on from the last checkpoint of a run that failed or was canceled.

    Raises Conflict for one that is finished, or that is about to stop.
    """
    run = _locked(run_id)
    if run.stop_requested:
        raise Conflict("The run is still stopping. Resume it when it has stopped.", retry=True)
    if run.state in UNFINISHED_RUNS:
        return run
    if run.state == RunState.FINISHED:
        raise Conflict("The run is finished. Create another one.")
    run.state, run.finished_at, run.losses = RunState.QUEUED, None, 0
    run.message = run.advice = ""
    run.save(update_fields=["state", "finished_at", "losses", "message", "advice"])
    audit.record(verb="resumed", of=run, project_id=run.project_id, actor_id=actor_id)
    enqueue(TRAIN, run_id=run.pk)
    return run


def _locked(run_id: int) -> TrainingRun:
    run = TrainingRun.objects.select_for_update().filter(pk=run_id).first()
    if run is None:
        raise NotFound
    return run
