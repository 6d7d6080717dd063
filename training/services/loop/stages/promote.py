"""The candidate becomes the project's model: by itself, or when an admin approves."""

from annotate.errors import Conflict
from training.loop.outcomes import Failed, GoOn, Outcome, Wait
from training.models import LoopStep, Promotion, PromotionState, Stage
from training.models.promotion import UNFINISHED_PROMOTIONS
from training.queries.promotions import unfinished
from training.services import promotions
from training.services.loop.stages.incumbent import against_current, overtaken
from training.services.loop.stages.stage import LoopStage
from training.services.loop.turn import Turn, doubted, took


def look(turn: Turn) -> Outcome:
    promotion = turn.step.promotion
    if promotion is None:
        if moved := overtaken(turn):
            return moved
        if turn.settings.promotion == "ask":
            return Wait(
                f"An admin approves or rejects adapter {turn.candidate.number}{doubted(turn)}."
            )
        if other := unfinished(turn.step.project_id):
            return Wait(f"Promotion {other.number}, which somebody began, ends first.")
        promotion = _begin(turn, actor_id=None)
        text = f"Promotion {promotion.number} of adapter {turn.candidate.number} began."
        turn.made(text, promotion=promotion)
    name = f"Promotion {promotion.number}"
    if promotion.state == PromotionState.DONE:
        turn.keep(promoted=True)
        candidate = f"Adapter {turn.candidate.number}"
        swapped = f"promotion {promotion.number} took {took(promotion)}"
        return GoOn(f"{candidate} is the project's model; {swapped}.")
    if promotion.state == PromotionState.FAILED:
        return Failed(f"{name} failed: {promotion.message}")
    return Wait(f"{name}: {promotion.message or promotion.get_state_display()}")


def approved(turn: Turn, actor_id: int) -> Promotion:
    """An admin's yes. Raises Conflict when the question is not the same any more."""
    if not against_current(turn):
        raise Conflict(
            "The project's model changed meanwhile; the step goes on from there in a moment.",
            retry=True,
        )
    return _begin(turn, actor_id=actor_id)


def _begin(turn: Turn, *, actor_id: int | None) -> Promotion:
    """actor_id: who approved; None: the policy did."""
    return promotions.promote(
        project_id=turn.step.project_id,
        actor_id=actor_id,
        adapter_id=turn.candidate.pk,
        evaluation_id=turn.step.evaluation_id,
        reason=f"Step {turn.step.number} of the loop: the gate was passed{doubted(turn)}.",
        stale=turn.settings.stale,
    )


def stop(step: LoopStep, actor_id: int) -> None:
    """Raises Conflict while it is being swapped in."""
    if step.promotion is not None and step.promotion.state in UNFINISHED_PROMOTIONS:
        raise Conflict(
            f"Promotion {step.promotion.number} is just being swapped in, which takes seconds. "
            "Wait for it, then roll back.",
            retry=True,
        )


def mend(step: LoopStep, actor_id: int) -> None:
    if step.promotion is not None and step.promotion.state == PromotionState.FAILED:
        step.promotion = None


STAGE = LoopStage(
    name=Stage.PROMOTE, look=look, stop=stop, mend=mend, made={"promotion": "promotion"}
)
