"""The A/B round of a step, as all of its deciding stages may have to end it."""

from annotate.services import rounds
from training.models import LoopStep


def cancel(step: LoopStep, actor_id: int) -> None:
    """If it is open; rankings that exist stay."""
    if step.ab_round is not None and step.ab_round.open:
        rounds.cancel_round(round_id=step.ab_round.pk, actor_id=actor_id)
