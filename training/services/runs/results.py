"""What a finished run leaves behind: its adapter, exactly once, and what was measured."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from annotate.models import Project
from annotate.services import audit
from annotate.services.numbering import next_number
from training import adapter_store
from training.adapter_store import Stored
from training.models import RunMetric, RunState, TrainedAdapter, TrainingRun
from training.runs.folder import RunFiles, read_json
from training.services.runs import leases
from training.services.runs.syncing import made_of


def keep(run: TrainingRun, folder: RunFiles, result: dict[str, Any]) -> TrainedAdapter:
    """Store the adapter, then say in one transaction that it is there and the run is finished.

    A worker that dies in between leaves files that the next start finds stored already. Raises
    LeaseLost, Conflict for a broken adapter, OSError when the storage is full.
    """
    stored = adapter_store.store(folder.adapter)
    values = {
        **made_of(run, folder),
        "measured": read_json(folder.evaluation),
        "data_report": read_json(folder.data_report),
        "warnings": [str(text) for text in result.get("warnings", [])],
    }
    return _finish(run, stored, values)


@transaction.atomic
def _finish(run: TrainingRun, stored: Stored, values: dict[str, Any]) -> TrainedAdapter:
    project = Project.objects.select_for_update().get(pk=run.project_id)
    if not leases.held(run).select_for_update().exists():
        raise leases.LeaseLost
    adapters = TrainedAdapter.objects.filter(project=project)
    adapter = TrainedAdapter.objects.create(
        project=project,
        number=next_number(adapters),
        run=run,
        base=run.spec["base"]["model"],
        content_hash=stored.content_hash,
        bytes=stored.bytes,
    )
    leases.held(run).update(
        state=RunState.FINISHED,
        lease=None,
        phase="",
        stop_requested=False,
        losses=0,
        finished_at=timezone.now(),
        **_last_step(run),
        **values,
    )
    audit.record(
        verb="became finished",
        of=run,
        project_id=project.pk,
        actor_id=None,
        adapter=adapter.number,
        content_hash=stored.content_hash,
    )
    return adapter


def _last_step(run: TrainingRun) -> dict[str, int]:
    """How far training went, and not how far the measuring after it."""
    last = RunMetric.objects.filter(run=run).order_by("-position").first()
    step = last.values.get("step") if last else None
    return {"step": step, "steps": step} if isinstance(step, int) else {}
