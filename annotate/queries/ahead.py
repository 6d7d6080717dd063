"""How far a round is written ahead of its labelers, and how far it should be."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection

# Whoever took or kept a task since then is at the desk.
ACTIVE_FOR = timedelta(minutes=10)

# Only what nobody holds is ahead of anybody. A claim that is taken or renewed runs for a lease from
# then on, so that its end tells when that was. Both counts walk the partial index of open slots.
FREE = """
(SELECT count(DISTINCT s.task_id) FROM annotate_slot s
  WHERE s.round_id = r.id AND s.ranking_id IS NULL
    AND (s.lease_until IS NULL OR s.lease_until < now()))
"""
LABELERS = """
(SELECT count(DISTINCT c.labeler_id)
   FROM annotate_slot s JOIN annotate_claim c ON c.id = s.claim_id
  WHERE s.round_id = r.id AND s.ranking_id IS NULL AND s.lease_until >= now()
    AND s.lease_until >= now() + make_interval(secs => p.lease_seconds - %(active)s))
"""
# Needs `r` and `p`, a round and its project.
WANTED = f"""
LEAST(GREATEST(%(floor)s, %(each)s * {LABELERS}), GREATEST(%(floor)s, %(most)s))
"""


@dataclass(frozen=True, slots=True)
class Ahead:
    """Of one round, in tasks: free now, and how many there should be."""

    free: int
    wanted: int

    @property
    def missing(self) -> int:
        return max(0, self.wanted - self.free)


def bounds() -> dict[str, float]:
    """The parameters of LABELERS and WANTED."""
    return {
        "active": ACTIVE_FOR.total_seconds(),
        "floor": settings.GENERATION_AHEAD,
        "each": settings.GENERATION_AHEAD_EACH,
        "most": settings.GENERATION_AHEAD_MOST,
    }


def ahead_of(round_id: int) -> Ahead:
    """How far the round is ahead. As many as GENERATION_AHEAD says, more for more labelers."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {FREE}, {WANTED} FROM annotate_round r"  # noqa: S608  (made of constants)
            " JOIN annotate_project p ON p.id = r.project_id WHERE r.id = %(round)s",
            {"round": round_id, **bounds()},
        )
        free, wanted = cursor.fetchone()
    return Ahead(free, wanted)
