"""Canceling what a step began, which may end in this moment."""

from collections.abc import Callable

from django.db import transaction

from annotate.errors import Conflict
from annotate.services import rounds
from training.models import LoopStep


def unless_it_ended(cancel: Callable[..., object], **which: int) -> None:
    """What has ended meanwhile needs no canceling."""
    try:
        with transaction.atomic():
            cancel(**which)
    except Conflict:
        pass


def cancel_ab_round(step: LoopStep, actor_id: int) -> None:
    """If it is open; rankings that exist stay."""
    if step.ab_round is not None and step.ab_round.open:
        rounds.cancel_round(round_id=step.ab_round.pk, actor_id=actor_id)
