"""What a step does when somebody promoted or rolled back while it was under way."""

from training.loop.outcomes import GoOn, Outcome
from training.models import Stage
from training.services.loop.stages.canceling import cancel_ab_round
from training.services.loop.turn import Turn, named


def overtaken(turn: Turn) -> Outcome | None:
    """The evaluation is against another model than the project's now; None: it is not."""
    if by_hand := promoted_by_hand(turn):
        return by_hand
    if against_current(turn):
        return None
    cancel_ab_round(turn.step, turn.actor_id)
    turn.keep(evaluation=None, ab_round=None)
    return GoOn(
        f"The project's model became {named(turn.incumbent)} meanwhile: the candidate is compared "
        "with it anew.",
        Stage.EVALUATE,
    )


def against_current(turn: Turn) -> bool:
    """Whether the evaluation compared with what is the project's model now."""
    incumbent, evaluation = turn.incumbent, turn.step.evaluation
    now = incumbent.pk if incumbent else None
    return evaluation is not None and now == evaluation.incumbent_id


def promoted_by_hand(turn: Turn) -> Outcome | None:
    """Somebody promoted the candidate itself: there is nothing left to decide."""
    if turn.incumbent != turn.candidate:
        return None
    cancel_ab_round(turn.step, turn.actor_id)
    turn.keep(promoted=True)
    return GoOn(f"Somebody promoted adapter {turn.candidate.number} meanwhile.", Stage.ROUND)
