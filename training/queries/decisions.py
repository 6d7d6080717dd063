"""What waits for a person's decision, in all their projects."""

from typing import Any

from annotate.models import User
from annotate.queries.access import MANAGE
from training.models import LoopStep, StepState
from training.queries.standing import asks

MOST = 100


def waiting_for(user: User) -> list[dict[str, Any]]:
    """The candidates that the user may approve or reject, oldest first; 100 at most."""
    theirs = user.memberships.values("project_id")
    if not user.is_superuser:  # who runs them, whatever their role says
        theirs = theirs.filter(role__in=MANAGE)
    steps = LoopStep.objects.filter(project__in=theirs, state=StepState.RUNNING)
    found = steps.select_related("project", "run__adapter").order_by("pk")
    return [_row(step) for step in found if asks(step)][:MOST]


def _row(step: LoopStep) -> dict[str, Any]:
    assert step.run is not None  # noqa: S101
    return {
        "project": {"slug": step.project.slug, "name": step.project.name},
        "step": step.number,
        "adapter": step.run.adapter.number,
    }
