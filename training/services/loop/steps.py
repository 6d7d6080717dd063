"""The verbs of the loop: begin a step, hold it, end it, decide on its candidate, and the beat."""

import logging

from django.db import transaction
from django.utils import timezone

from annotate.dispatch import enqueue
from annotate.errors import Conflict, NotFound, Refusal
from annotate.models import Project, User
from annotate.services import audit
from annotate.services.numbering import next_number
from training.loop.policy import PolicyError, read
from training.models import LoopPolicy, LoopStep, Stage, StepState
from training.models.loop import UNFINISHED_STEPS
from training.queries import loop as reads
from training.queries import turns
from training.queries.standing import asks
from training.services.loop import stages
from training.services.loop.advancing import ADVANCE
from training.services.loop.stages.promote import approved
from training.services.loop.timeline import note
from training.services.loop.turn import turn_of

log = logging.getLogger(__name__)


@transaction.atomic
def begin_step(*, project_id: int, actor_id: int | None, cause: str) -> LoopStep:
    """A turn under the policy as it is now; the one that is unfinished, if there is one.

    actor_id: None when the policy itself begins it. cause: why, for people. Raises Conflict when
    the project has no policy.
    """
    Project.objects.select_for_update().get(pk=project_id)
    unfinished = LoopStep.objects.filter(project_id=project_id, state__in=UNFINISHED_STEPS).first()
    if unfinished is not None:
        return unfinished
    policy = LoopPolicy.objects.filter(project_id=project_id).first()
    if policy is None:
        raise Conflict("This project has no loop policy yet. Save one, then step.")
    _need_readable(policy)
    step = LoopStep.objects.create(
        project_id=project_id,
        number=next_number(LoopStep.objects.filter(project_id=project_id)),
        cause=cause,
        settings=policy.settings,
        created_by_id=actor_id,
    )
    note(step, f"Began: {cause}")
    audit.record(verb="began", of=step, project_id=project_id, actor_id=actor_id, cause=cause)
    enqueue(ADVANCE, step_id=step.pk)
    return step


@transaction.atomic
def pause(*, step_id: int, actor_id: int) -> LoopStep:
    """Nothing further begins; what runs now ends by itself. Raises Conflict when it has ended."""
    return _hold(step_id, actor_id, StepState.PAUSED, "paused")


@transaction.atomic
def resume(*, step_id: int, actor_id: int) -> LoopStep:
    """Go on where the pause began."""
    step = _hold(step_id, actor_id, StepState.RUNNING, "resumed")
    enqueue(ADVANCE, step_id=step.pk)
    return step


def _hold(step_id: int, actor_id: int, state: StepState, verb: str) -> LoopStep:
    step = _locked(step_id)
    if step.state not in UNFINISHED_STEPS:
        raise Conflict(f"Step {step.number} is {step.state} and cannot be {verb}.")
    if step.state != state:
        step.state = state
        step.save(update_fields=["state"])
        _told(step, actor_id, verb)
    return step


@transaction.atomic
def cancel(*, step_id: int, actor_id: int) -> LoopStep:
    """End it and what it has begun; what is made stays. Raises Conflict when it has ended."""
    step = _locked(step_id)
    if step.state == StepState.CANCELED:
        return step
    if step.state not in UNFINISHED_STEPS:
        raise Conflict(f"Step {step.number} is {step.state}; there is nothing to cancel.")
    for stage in reversed(stages.FLOW):  # a promotion under way refuses before anything ends
        stage.stop(step, actor_id)
    step.state, step.waiting_for = StepState.CANCELED, ""
    step.message = f"Canceled in the stage “{Stage(step.stage).label}”."
    step.finished_at = timezone.now()
    step.save()
    _told(step, actor_id, "canceled")
    return step


@transaction.atomic
def retry(*, step_id: int, actor_id: int) -> LoopStep:
    """Go on with a failed step in the stage where it failed.

    Raises Conflict when it did not fail, or a later one has begun.
    """
    step = _locked(step_id)
    if step.state in UNFINISHED_STEPS:
        return step
    if step.state != StepState.FAILED:
        raise Conflict(f"Step {step.number} is {step.state}; there is nothing to retry.")
    Project.objects.select_for_update().get(pk=step.project_id)
    if LoopStep.objects.filter(project_id=step.project_id, number__gt=step.number).exists():
        raise Conflict("A later step has begun since. Begin a new one instead.")
    stages.BY_NAME[Stage(step.stage)].mend(step, actor_id)
    step.state, step.message, step.finished_at = StepState.RUNNING, "", None
    step.save()
    _told(step, actor_id, "retried")
    enqueue(ADVANCE, step_id=step.pk)
    return step


@transaction.atomic
def approve(*, step_id: int, actor_id: int) -> LoopStep:
    """Promote the candidate. A second click changes nothing. Raises Conflict where none waits."""
    step = _locked(step_id)
    if step.promotion_id is not None:
        return step
    _require_question(step)
    step.promotion = approved(turn_of(step), actor_id)
    step.save(update_fields=["promotion"])
    _told(step, actor_id, "approved")
    enqueue(ADVANCE, step_id=step.pk)
    return step


@transaction.atomic
def reject(*, step_id: int, actor_id: int) -> LoopStep:
    """Keep the model as it is; the step goes on with the next round."""
    step = _locked(step_id)
    if step.promoted is False:
        return step
    _require_question(step)
    _told(step, actor_id, "rejected")
    step.promoted, step.waiting_for, step.stage = False, "", Stage.ROUND
    step.save(update_fields=["promoted", "waiting_for", "stage"])
    enqueue(ADVANCE, step_id=step.pk)
    return step


def _locked(step_id: int) -> LoopStep:
    step = LoopStep.objects.select_for_update().filter(pk=step_id).first()
    if step is None:
        raise NotFound
    return step


def _told(step: LoopStep, actor_id: int, verb: str) -> None:
    name = User.objects.values_list("username", flat=True).get(pk=actor_id)
    what = "the candidate" if verb in ("approved", "rejected") else "the step"
    note(step, f"{name} {verb} {what}.")
    audit.record(verb=verb, of=step, project_id=step.project_id, actor_id=actor_id)


def _require_question(step: LoopStep) -> None:
    if step.state == StepState.PAUSED:
        raise Conflict(f"Step {step.number} is paused. Resume it first.")
    if not asks(step):
        raise Conflict(f"Step {step.number} asks nothing now.")


def _need_readable(policy: LoopPolicy) -> None:
    try:
        read(policy.settings)
    except PolicyError as problem:
        raise Conflict(f"The policy does not fit any more: {problem}. Save it again.") from None


def tick() -> None:
    """Begin the turns that are due, and send the jobs of the steps that are under way."""
    for policy in turns.resting():
        try:
            cause = turns.next_of(policy, read(policy.settings)).cause
            if cause:
                begin_step(project_id=policy.project_id, actor_id=None, cause=cause)
        except (PolicyError, Refusal) as problem:
            log.warning("%s does not turn: %s", policy, problem)
    for step_id in reads.to_advance():
        enqueue(ADVANCE, step_id=step_id)
