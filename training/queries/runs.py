"""Training runs as people see them."""

import math
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.functions import Mod

from annotate.errors import NotFound
from training.models import RunMetric, RunState, Snapshot, TrainedAdapter, TrainingRun
from training.queries.named import id_of
from training.queries.servable import warnings_for
from training.queries.standing import Stands, standings
from training.runs import options
from training.runs.assembly import data_for, method_named, nothing_for
from training.runs.base_model import name_of, place_of, weights_b
from training.runs.left_out import parts_of, share_of

MOST_POINTS = 5000
Shown = dict[str, Any]


def of_project(project_id: int) -> QuerySet[TrainingRun]:
    """A project's runs, without their long parts."""
    runs = TrainingRun.objects.filter(project_id=project_id)
    related = runs.select_related("created_by", "snapshot", "parent", "judge", "adapter")
    return related.defer("log", "made", "measured", "data_report", "snapshot__manifest")


def one(project_id: int, number: int) -> TrainingRun:
    """Raises NotFound."""
    run = of_project(project_id).filter(number=number).first()
    if run is None:
        raise NotFound
    return run


def row(run: TrainingRun, found: Mapping[int, Stands]) -> Shown:
    """What a list shows of it. found: `standings` of the project."""
    adapter = getattr(run, "adapter", None)
    return {
        "number": run.number,
        "method": run.method,
        "preset": run.preset,
        "snapshot": run.snapshot.number,
        "parent": run.parent.number if run.parent else None,
        "judge": run.judge.number if run.judge else None,
        "state": run.state,
        "stopping": run.stop_requested,
        "phase": run.phase,
        "step": run.step,
        "steps": run.steps,
        "eta_s": _eta_s(run),
        "message": run.message,
        "adapter": adapter.number if adapter else None,
        "adapter_standing": found[adapter.pk] if adapter else None,
        "created_by": run.created_by.username,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }


def detail(run: TrainingRun) -> Shown:
    """Everything about it but its metrics and its log."""
    return {
        **row(run, standings(run.project_id)),
        "heartbeat_at": run.heartbeat_at,
        "worker": run.worker,
        "starts": run.starts,
        "advice": run.advice,
        "warnings": [*warnings_for(run.spec), *run.warnings],
        "estimate": run.estimate,
        "spec": run.spec,
        "measured": run.measured,
        "data_report": run.data_report,
        "left_out": {"share": share_of(run.data_report), "parts": parts_of(run.data_report)},
        "made": run.made,
        "latest": latest(run),
    }


def latest(run: TrainingRun) -> Shown | None:
    """The values of the last line of metrics."""
    last = RunMetric.objects.filter(run=run).order_by("-position").first()
    return last.values if last else None


def metrics(run: TrainingRun, *, after: int | None, points: int) -> Shown:
    """Lines of metrics after a position, thinned out to about `points`.

    Every n-th line, the last one, and those of evaluations, which are few.
    """
    lines = RunMetric.objects.filter(run=run)
    last = lines.order_by("-position").values_list("position", flat=True).first()
    if last is None:
        return {"total": 0, "rows": []}
    first = 0 if after is None else after + 1
    every = max(1, math.ceil((last + 1 - first) / max(1, min(points, MOST_POINTS))))
    chosen = lines.filter(position__gte=first)
    if every > 1:
        chosen = chosen.alias(place=Mod("position", every)).filter(
            Q(place=0) | Q(position=last) | Q(values__has_key="evaluation_accuracy")
        )
    rows = chosen.order_by("position").values("position", "values")[: 2 * MOST_POINTS]
    return {"total": last + 1, "rows": list(rows)}


def log_of(run: TrainingRun) -> str:
    """The end of what its process wrote."""
    return TrainingRun.objects.values_list("log", flat=True).get(pk=run.pk)


def offered(project_id: int, number: int | None) -> Shown:
    """What a new run may be asked for. number: of a snapshot, which says for which methods there
    are data. Raises Invalid when there is no such snapshot.
    """
    model, snapshot = settings.TRAINING_MODEL, None
    if number is not None:
        snapshot = Snapshot.objects.get(pk=id_of(Snapshot, project_id, number, "snapshot"))
    judges = TrainedAdapter.objects.filter(project_id=project_id, run__method="reward").exists()
    counts = (snapshot.manifest or {}).get("counts") if snapshot else None
    return {
        "base": name_of(model),
        "methods": [_method(one, snapshot, judges) for one in options.methods()],
        "presets": options.presets(weights_b(model, place_of(model, settings.MODELS)), counts),
        "fields": list(options.fields()),
    }


def _method(shown: Shown, snapshot: Snapshot | None, judges: bool) -> Shown:
    method = method_named(shown["name"])
    reason = ""
    manifest = snapshot.manifest if snapshot else None
    if manifest is not None and data_for(method, manifest) is None:
        reason = nothing_for(method)
    elif method.learns_from_judge and not judges:
        reason = "It learns from a reward model, and the project has none: train one first."
    return {**shown, "available": not reason, "reason": reason}


def _eta_s(run: TrainingRun) -> float | None:
    """Seconds that are left of the phase, as the engine's last line says."""
    if run.state != RunState.RUNNING or run.phase != "training":
        return None
    values = latest(run) or {}
    return values.get("eta_s")
