"""What waits for a labeler, and what they have done."""

from datetime import datetime, time
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.db import connection
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.utils import timezone

from annotate.errors import Invalid
from annotate.models import Claim, ClaimState, Membership, User
from annotate.queries.access import LABEL, role_of
from annotate.queries.empty import why_empty
from formats.echo import echo

QUEUES = 100

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


def of_labeler(user: User, zone: ZoneInfo) -> list[dict[str, Any]]:
    """The projects that a person takes part in (100 at most), with what waits for them there.

    Where they worked last comes first, and of the others what they joined first: nobody else can
    push it off the list. Of those, what has work for them stands before what has none.
    zone: where the person is; their day begins at midnight there.
    """
    worked = Claim.objects.filter(labeler=user, project=OuterRef("project")).order_by("-pk")
    memberships = (
        user.memberships.select_related("project")
        .annotate(worked=Subquery(worked.values("pk")[:1]))
        .order_by(F("worked").desc(nulls_last=True), "pk")[:QUEUES]
    )
    began = midnight(zone)
    rows = [_queue(user, membership, began) for membership in memberships]
    return sorted(rows, key=lambda row: not row["waiting"])


def zone_named(name: str) -> ZoneInfo:
    """A time zone by its name in the IANA database; UTC where none is named. Raises Invalid."""
    if name and name not in _zones():
        message = f"There is no time zone “{echo(name)}”. Name one as Asia/Tokyo, or none (UTC)."
        raise Invalid(message, fields={"zone": [message]})
    return ZoneInfo(name or "UTC")


def midnight(zone: ZoneInfo) -> datetime:
    """When the day that it is in the zone now began."""
    return datetime.combine(timezone.now().astimezone(zone).date(), time.min, zone)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _queue(user: User, membership: Membership, today: datetime) -> dict[str, Any]:
    project_id, role = membership.project_id, role_of(user, membership)
    labels = role in LABEL
    waiting = waiting_for(project_id, user.pk) if labels else 0
    mine = user_rankings(project_id, user.pk)
    return {
        "project": {"slug": membership.project.slug, "name": membership.project.name},
        "role": role,
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
