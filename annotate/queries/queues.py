"""What waits for a labeler, and why nothing does."""

from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from annotate.models import (
    OPEN_STATES,
    Claim,
    ClaimState,
    Membership,
    Role,
    Round,
    RoundState,
    Slot,
    User,
)
from annotate.queries.access import LABEL
from inference.queries import inference_state

_WAITING = """
SELECT count(DISTINCT s.task_id)
  FROM annotate_slot s JOIN annotate_round r ON r.id = s.round_id
 WHERE r.project_id = %(project)s AND r.state IN ('generating', 'labeling') AND NOT r.paused
   AND s.ranking_id IS NULL
   AND (s.lease_until IS NULL OR s.lease_until < now()
        OR s.claim_id IN (SELECT id FROM annotate_claim WHERE labeler_id = %(labeler)s
                             AND project_id = %(project)s AND state = 'live'))
   AND NOT EXISTS (SELECT FROM annotate_claim c
                    WHERE c.task_id = s.task_id AND c.labeler_id = %(labeler)s
                      AND c.state IN ('ranked', 'skipped', 'flagged'))
"""


def of_labeler(user: User) -> list[dict[str, Any]]:
    """The projects that a person takes part in (100 at most), with what waits for them there."""
    memberships = user.memberships.select_related("project").order_by("project__name")[:100]
    return [_queue(user, membership) for membership in memberships]


def _queue(user: User, membership: Membership) -> dict[str, Any]:
    project_id, role = membership.project_id, membership.role
    labels = role in LABEL
    waiting = waiting_for(project_id, user.pk) if labels else 0
    mine = user_rankings(project_id, user.pk)
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "project": {"slug": membership.project.slug, "name": membership.project.name},
        "role": Role(role).value,
        "waiting": waiting,
        "ranked_today": mine.filter(ended_at__gte=today).count(),
        "ranked_total": mine.count(),
        "reason": None if waiting or not labels else why_empty(project_id, user.pk),
    }


def waiting_for(project_id: int, labeler_id: int) -> int:
    """How many tasks of the project the labeler could rank now."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"project": project_id, "labeler": labeler_id})
        (count,) = cursor.fetchone()
    return int(count)


def user_rankings(project_id: int, labeler_id: int) -> QuerySet[Claim]:
    """The labeler's claims that ended in a ranking."""
    return Claim.objects.filter(
        labeler_id=labeler_id, project_id=project_id, state=ClaimState.RANKED
    )


def why_empty(project_id: int, labeler_id: int) -> dict[str, str]:
    """Why there is no task for a labeler, and what happens next: {code, message}."""
    rounds = Round.objects.filter(project_id=project_id, state__in=OPEN_STATES)
    running = rounds.filter(paused=False)
    if not rounds.exists():
        return _reason(
            "no_round", "No round is open. You will see tasks here as soon as an admin starts one."
        )
    if not running.exists():
        return _reason("paused", "The round is paused. Tasks come back when an admin resumes it.")
    if running.filter(state=RoundState.GENERATING).exists():
        inference = inference_state()
        if inference["state"] != "ready":
            return _reason("model_loading", f"{inference['message']} Tasks appear by themselves.")
        if not _held_by_others(project_id, labeler_id):
            return _reason(
                "waiting_for_completions",
                "The model is still writing responses. New tasks appear here by themselves.",
            )
    if _held_by_others(project_id, labeler_id):
        return _reason(
            "all_claimed",
            "Other labelers have the remaining tasks in hand. "
            "What they give back appears here by itself.",
        )
    return _reason("all_done", "You have done everything that there was for you. Thank you!")


def _held_by_others(project_id: int, labeler_id: int) -> bool:
    return (
        Slot.objects.filter(
            task__round__project_id=project_id,
            task__round__state__in=OPEN_STATES,
            task__round__paused=False,
            ranking=None,
            claim__isnull=False,
        )
        .exclude(
            Q(claim__labeler_id=labeler_id)
            | Q(
                task__claims__labeler_id=labeler_id,
                task__claims__state__in=[
                    ClaimState.RANKED,
                    ClaimState.SKIPPED,
                    ClaimState.FLAGGED,
                ],
            )
        )
        .exists()
    )


def _reason(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}
