"""Rebuilds as people see them."""

from typing import Any

from django.db.models import QuerySet

from annotate.errors import NotFound
from training.models import Rebuild, TrainedAdapter


def of_project(project_id: int) -> QuerySet[Rebuild]:
    """A project's rebuilds."""
    return Rebuild.objects.filter(project_id=project_id).select_related(
        "adapter", "snapshot", "run__adapter", "created_by"
    )


def adapter_id(project_id: int, number: int) -> int:
    """Raises NotFound."""
    found = TrainedAdapter.objects.filter(project_id=project_id, number=number)
    key = found.values_list("pk", flat=True).first()
    if key is None:
        raise NotFound
    return key


def row(rebuild: Rebuild) -> dict[str, Any]:
    """What a list shows of it."""
    run = rebuild.run
    made = getattr(run, "adapter", None)
    return {
        "id": rebuild.pk,
        "adapter": rebuild.adapter.number,
        "snapshot": rebuild.snapshot.number,
        "snapshot_state": rebuild.snapshot.state,
        "run": run and run.number,
        "run_state": run and run.state,
        "made": made and made.number,
        "message": rebuild.message,
        "created_by": rebuild.created_by.username,
        "created_at": rebuild.created_at,
    }
