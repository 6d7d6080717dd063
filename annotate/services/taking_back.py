"""Taking back a skip or a flag: the task comes back to whoever passed it on."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from annotate.errors import AlreadyRanked, Conflict, RoundClosed
from annotate.models import Claim, ClaimState, Ranking, Slot
from annotate.services import audit
from annotate.services.claims import claim_of

DECLINED = (ClaimState.SKIPPED, ClaimState.FLAGGED)


@transaction.atomic
def take_back(*, claim_id: int, labeler_id: int) -> int | None:
    """Undo a skip or a flag of the claim's task; returns the id of the claim that is held again.

    None when the task is with others by now: a flag is withdrawn all the same, because it says
    something of the task; a skip stays, and Conflict says so. Twice is the same as once. Raises
    NotFound for somebody else's claim, RoundClosed, and AlreadyRanked where the labeler ranked the
    task under another claim.
    """
    claim = claim_of(claim_id, labeler_id)
    if not claim.task.round.open:
        raise RoundClosed("The round is closed; its tasks can no longer be taken up again.")
    # The slot before the claims, in the order in which the queue takes them.
    slot = _free_slot(claim)
    declined = (
        Claim.objects.select_for_update(of=("self",))
        .select_related("project")
        .filter(task_id=claim.task_id, labeler_id=labeler_id, state__in=DECLINED)
        .first()
    )
    if declined is None:
        return _held(claim)
    _refuse_if_ranked(declined)
    if slot is None and declined.state == ClaimState.SKIPPED:
        raise Conflict(
            "Others have this task by now, so it cannot come back to you. It stays skipped.",
            code="too_late",
        )
    if declined.state == ClaimState.FLAGGED:
        audit.record(
            verb="withdrew flag",
            of=claim.task,
            project_id=declined.project_id,
            actor_id=labeler_id,
            kind=declined.reason,
            note=declined.note[:500],
        )
    return _reopened(declined, slot)


def _free_slot(claim: Claim) -> Slot | None:
    """A place of the task that nobody holds, locked; a lease that ran out holds nothing."""
    free = Q(claim=None) | Q(lease_until__lt=timezone.now())
    return (
        Slot.objects.select_for_update(of=("self",), skip_locked=True)
        .filter(free, task_id=claim.task_id, ranking=None)
        .order_by("number")
        .first()
    )


def _held(claim: Claim) -> int | None:
    """The labeler's claim on a task that they did not decline, or no longer."""
    _refuse_if_ranked(claim)
    live = Claim.objects.filter(
        task_id=claim.task_id, labeler_id=claim.labeler_id, state=ClaimState.LIVE
    ).first()
    return None if live is None else live.pk


def _refuse_if_ranked(claim: Claim) -> None:
    ranking = Ranking.objects.filter(
        task_id=claim.task_id, labeler_id=claim.labeler_id, current=True
    ).first()
    if ranking is not None:
        raise AlreadyRanked(
            "You have ranked this task, perhaps in another tab. Change or undo that ranking.",
            ranking=ranking.pk,
        )


def _reopened(claim: Claim, slot: Slot | None) -> int | None:
    claim.reason, claim.note = "", ""
    if slot is None:
        claim.state = ClaimState.RELEASED
        claim.save(update_fields=["state", "reason", "note"])
        return None
    if slot.claim_id is not None:
        lost = Claim.objects.filter(pk=slot.claim_id, state=ClaimState.LIVE)
        lost.update(state=ClaimState.EXPIRED, ended_at=timezone.now())
    claim.state, claim.ended_at = ClaimState.LIVE, None
    claim.expires_at = timezone.now() + timedelta(seconds=claim.project.lease_seconds)
    claim.save(update_fields=["state", "ended_at", "expires_at", "reason", "note"])
    Slot.objects.filter(pk=slot.pk).update(claim=claim, lease_until=claim.expires_at)
    return claim.pk
