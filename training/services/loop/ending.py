"""How a step ends."""

from django.utils import timezone

from annotate.services import audit
from training.models import LoopStep, StepState
from training.services.loop.timeline import note


def fail(step: LoopStep, why: str) -> None:
    """It stays in its stage for a retry. The caller holds the step's row."""
    note(step, why)
    _end(step, StepState.FAILED, why)


def finish(step: LoopStep, result: str) -> None:
    """All that was to be done is done. The caller holds the step's row."""
    _end(step, StepState.DONE, result)


def _end(step: LoopStep, state: StepState, message: str) -> None:
    step.state, step.message, step.waiting_for = state, message, ""
    step.finished_at = timezone.now()
    step.save(update_fields=["state", "message", "waiting_for", "finished_at"])
    audit.record(
        verb=f"became {state}",
        of=step,
        project_id=step.project_id,
        actor_id=None,
        message=message[:500],
    )
