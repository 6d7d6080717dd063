"""Taking back what a labeler said, or what a whole round said: it counts no more, and it stays."""

from collections.abc import Iterator

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from annotate.errors import Conflict, Invalid, NotFound
from annotate.models import Comparison, Project, Ranking, Round, Slot, User
from annotate.services import audit
from formats.bounds import WHY_RETRACTED

AT_A_TIME = 5000


@transaction.atomic
def retract_labeler(*, project_id: int, actor_id: int, labeler_id: int, reason: str) -> int:
    """Withdraw all rankings of a labeler in the project; returns how many there were.

    Their places in open rounds are free again, for others: they have had these tasks. Twice is the
    same as once. Raises NotFound for somebody who never ranked here.
    """
    said = Ranking.objects.filter(project_id=project_id, labeler_id=labeler_id)
    labeler = User.objects.filter(pk=labeler_id).first()
    if labeler is None or not said.exists():
        raise NotFound
    return _retract(said, of=labeler, project_id=project_id, actor_id=actor_id, reason=reason)


@transaction.atomic
def retract_round(*, project_id: int, actor_id: int, number: int, reason: str) -> int:
    """Withdraw all rankings of a round that is closed; returns how many there were.

    Raises NotFound when there is no such round, Conflict while it is open.
    """
    round_ = Round.objects.select_for_update().filter(project_id=project_id, number=number).first()
    if round_ is None:
        raise NotFound
    if round_.open:
        raise Conflict(
            f"Round {number} is still open, and its tasks would be ranked again. "
            "Close or cancel it first."
        )
    said = Ranking.objects.filter(round=round_)
    return _retract(said, of=round_, project_id=project_id, actor_id=actor_id, reason=reason)


def _retract(
    said: QuerySet[Ranking],
    *,
    of: User | Round,
    project_id: int,
    actor_id: int,
    reason: str,
) -> int:
    reason = reason.strip()
    if not 0 < len(reason) <= WHY_RETRACTED:
        message = f"Say why, in {WHY_RETRACTED} characters at most. The audit log keeps it."
        raise Invalid(message, fields={"reason": [message]})
    # Late rankings of a closed round are still kept, and two retractions must not meet halfway.
    Project.objects.select_for_update().get(pk=project_id)
    count = sum(_withdraw(some) for some in _batches(said))
    audit.record(
        verb="retracted rankings",
        of=of,
        project_id=project_id,
        actor_id=actor_id,
        rankings=count,
        reason=reason,
    )
    return count


def _batches(said: QuerySet[Ranking]) -> Iterator[list[int]]:
    """Ids of current rankings, locked in the order of their ids."""
    current = said.filter(current=True).order_by("pk").select_for_update(of=("self",))
    while some := list(current.values_list("pk", flat=True)[:AT_A_TIME]):
        yield some


def _withdraw(ranking_ids: list[int]) -> int:
    Comparison.objects.filter(ranking_id__in=ranking_ids).delete()
    Slot.objects.filter(ranking_id__in=ranking_ids).update(
        ranking=None, claim=None, lease_until=None
    )
    return Ranking.objects.filter(pk__in=ranking_ids).update(
        current=False, withdrawn_at=timezone.now()
    )
