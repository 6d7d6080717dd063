"""Claiming tasks, keeping them, and giving them back."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from annotate.errors import AlreadyRanked, ClaimLost, Conflict, NotFound
from annotate.models import SPENT_STATES, Claim, ClaimState, FlagKind, Slot
from annotate.queries.access import LABEL, labels_in, require
from annotate.services import audit, queue

MAX_LIVE_CLAIMS = 8
LOST = (
    "This task went to somebody else after your time on it ran out. "
    "Finish anyway: your ranking is kept."
)


def next_claim(
    *, slug: str, labeler_id: int, have: Sequence[int] = ()
) -> tuple[queue.Standing, queue.HeldTask | None]:
    """Hand back a claim that the client forgot, or else claim a new task.

    have: ids of the claims that the client holds already, lost ones too. Returns None for the
    task when there is none to be had; `queries.empty.why_empty` says why. Raises NotFound for
    strangers.
    """
    standing = queue.standing(slug=slug, labeler_id=labeler_id)
    if standing is None or standing.role is None:
        raise NotFound
    require(standing.role, LABEL)
    if forgotten := queue.first_not_in(standing.live, have):
        held = queue.hold_on(claim_id=forgotten, lease_seconds=standing.lease_seconds)
        if held is not None:
            return standing, held
    if len(standing.live) >= MAX_LIVE_CLAIMS:
        raise _too_many()
    return standing, _take_from_open_rounds(standing, labeler_id, have)


def _take_from_open_rounds(
    standing: queue.Standing, labeler_id: int, have: Sequence[int]
) -> queue.HeldTask | None:
    """What a former model wrote comes last."""
    for stale in (False, True):
        for round_id in standing.rounds:
            # A labeler has dealt with everything up to their last claim: looking there first keeps
            # this fast in a long round. What came back since is found by the second look.
            here = standing.latest_position if round_id == standing.latest_round else None
            for from_position in (here, 0) if here else (0,):
                held = _take(standing, round_id, labeler_id, from_position, stale, have)
                if held is not None:
                    return held
    return None


def _take(
    standing: queue.Standing,
    round_id: int,
    labeler_id: int,
    from_position: int,
    stale: bool,
    have: Sequence[int],
) -> queue.HeldTask | None:
    for _ in range(5):
        try:
            return queue.take(
                project_id=standing.project_id,
                round_id=round_id,
                labeler_id=labeler_id,
                lease_seconds=standing.lease_seconds,
                from_position=from_position,
                stale=stale,
                have=have,
            )
        except IntegrityError as problem:
            if "eight_live_claims" in str(problem):  # counted again where nobody can come between
                raise _too_many() from None
            continue  # The same labeler took this task through another tab: look again.
    raise Conflict("You are claiming tasks from several tabs at once. Try again.", retry=True)


def _too_many() -> Conflict:
    return Conflict(
        f"You hold {MAX_LIVE_CLAIMS} tasks already. Rank or skip one of them first.",
        code="too_many_claims",
    )


def claim_of(claim_id: int, labeler_id: int, *, lock: bool = False) -> Claim:
    """A labeler's own claim in a project that they still label in, or NotFound."""
    claims = Claim.objects.select_related("project", "task__round", "labeler")
    if lock:
        # The slot before the claim, in the order in which the queue takes them.
        list(Slot.objects.select_for_update().filter(claim_id=claim_id))
        claims = claims.select_for_update(of=("self",))
    claim = claims.filter(pk=claim_id, labeler_id=labeler_id).first()
    if claim is None or not labels_in(claim.labeler, claim.project_id):
        raise NotFound
    return claim


@transaction.atomic
def renew(*, claim_id: int, labeler_id: int) -> datetime:
    """Keep a claim for another lease, even after it ran out, unless its slot has gone."""
    claim = claim_of(claim_id, labeler_id, lock=True)
    slot = Slot.objects.filter(claim=claim, ranking=None).first()
    if claim.state != ClaimState.LIVE or slot is None:
        raise ClaimLost(LOST)
    claim.expires_at = timezone.now() + timedelta(seconds=claim.project.lease_seconds)
    claim.save(update_fields=["expires_at"])
    Slot.objects.filter(pk=slot.pk).update(lease_until=claim.expires_at)
    return claim.expires_at


@transaction.atomic
def release(*, claim_id: int, labeler_id: int) -> None:
    """Give a task back; somebody else, or the same labeler later, may take it."""
    claim = claim_of(claim_id, labeler_id, lock=True)
    if claim.state == ClaimState.LIVE:
        _end(claim, ClaimState.RELEASED)


@transaction.atomic
def release_all(*, project_id: int, labeler_id: int) -> None:
    """Give back what somebody holds who no longer labels in the project."""
    live = Claim.objects.filter(
        project_id=project_id, labeler_id=labeler_id, state=ClaimState.LIVE
    ).order_by("pk")
    for claim in live:
        list(Slot.objects.select_for_update().filter(claim=claim))
        locked = live.select_for_update(of=("self",)).filter(pk=claim.pk).first()
        if locked is not None:  # they have not ranked it just now
            _end(locked, ClaimState.RELEASED)


@transaction.atomic
def skip(*, claim_id: int, labeler_id: int, reason: str, note: str = "") -> None:
    """End a claim without a ranking; this labeler is not offered the task again."""
    _decline(claim_id, labeler_id, ClaimState.SKIPPED, reason=reason, note=note)


@transaction.atomic
def flag(*, claim_id: int, labeler_id: int, kind: FlagKind, note: str) -> None:
    """Skip a task and tell the admins what is wrong with it."""
    claim = _decline(claim_id, labeler_id, ClaimState.FLAGGED, reason=kind, note=note)
    if claim is not None:
        audit.record(
            verb="flagged",
            of=claim.task,
            project_id=claim.project_id,
            actor_id=labeler_id,
            kind=str(kind),
            note=note[:500],
        )


def _decline(
    claim_id: int, labeler_id: int, state: ClaimState, *, reason: str, note: str = ""
) -> Claim | None:
    """The claim, ended; None when this has been said before."""
    claim = claim_of(claim_id, labeler_id, lock=True)
    if claim.state == ClaimState.RANKED:
        raise AlreadyRanked("You have ranked this task already. Undo the ranking first.")
    if claim.state != ClaimState.LIVE:
        # Lost or given back: whoever declines a task must not be offered it again.
        claim = (
            Claim.objects.filter(
                task_id=claim.task_id, labeler_id=labeler_id, state__in=SPENT_STATES
            ).first()
            or claim
        )
    if claim.state in SPENT_STATES and claim.state != ClaimState.LIVE:
        return None
    _end(claim, state, reason=reason, note=note)
    return claim


def _end(claim: Claim, state: ClaimState, *, reason: str = "", note: str = "") -> None:
    claim.state, claim.ended_at = state, timezone.now()
    claim.reason, claim.note = reason, note
    claim.save(update_fields=["state", "ended_at", "reason", "note"])
    Slot.objects.filter(claim=claim, ranking=None).update(claim=None, lease_until=None)
