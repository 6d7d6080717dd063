"""The labeling queue in SQL.

Every labeler asks for the next task after every ranking, so this is the path that decides how
many people one machine serves: each function is one statement, planned once by the server.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from annotate.models import SPENT_STATES
from formats.completions import Completion

_SPENT = ", ".join(f"'{state}'" for state in SPENT_STATES)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a labeler stands in a project.

    role: None for a stranger. live: ids of the claims they still hold, oldest first.
    rounds: ids of the rounds open for labeling. latest: (round, position) of their last claim.
    """

    project_id: int
    lease_seconds: int
    role: str | None
    live: list[int]
    rounds: list[int]
    latest_round: int | None
    latest_position: int | None


@dataclass(frozen=True, slots=True)
class HeldTask:
    """A claim with all that its labeler is to see. JSON columns are undecoded texts."""

    claim_id: int
    project: str
    round_number: int
    expires_at: datetime
    lease_seconds: int
    messages: str
    documents: str
    texts: list[str]
    cut_off: list[bool]
    draft: str | None
    judging: str
    draft_version: int | None
    draft_writer: str | None
    draft_step: int | None
    kept: str | None

    @property
    def written(self) -> list[Completion]:
        """The responses in the order in which they are seen."""
        return [Completion(*each) for each in zip(self.texts, self.cut_off, strict=True)]


_STANDING = """
SELECT p.id, p.lease_seconds,
       CASE WHEN u.is_superuser AND m.role IS DISTINCT FROM 'owner' THEN 'admin' ELSE m.role END,
       ARRAY(SELECT c.id FROM annotate_claim c
               JOIN annotate_slot s ON s.claim_id = c.id AND s.ranking_id IS NULL
               JOIN annotate_round r ON r.id = s.round_id
              WHERE c.labeler_id = u.id AND c.project_id = p.id AND c.state = 'live'
                AND r.state IN ('generating', 'labeling') AND NOT r.paused
              ORDER BY c.id),
       ARRAY(SELECT r.id FROM annotate_round r
              WHERE r.project_id = p.id AND r.state IN ('generating', 'labeling')
                AND NOT r.paused
              ORDER BY r.number),
       latest.round_id, latest.position
  FROM annotate_project p
  JOIN annotate_user u ON u.id = %(labeler)s
  LEFT JOIN annotate_membership m ON m.project_id = p.id AND m.user_id = u.id
  LEFT JOIN LATERAL (
       SELECT t.round_id, t.position FROM annotate_claim c JOIN annotate_task t ON t.id = c.task_id
        WHERE c.labeler_id = u.id AND c.project_id = p.id ORDER BY c.id DESC LIMIT 1
  ) latest ON true
 WHERE p.slug = %(slug)s
"""

# Ends a statement whose `held` has (id, task_id, "order", settings_id, expires_at) of the claim.
_SEE = """
SELECT h.id, p.slug, r.number, h.expires_at, p.lease_seconds, q.messages::text, q.documents::text,
       seen.texts, seen.cut_off, d.body::text, j.content::text, d.version, d.writer,
       d.step,
       (SELECT jsonb_agg(jsonb_build_object('id', k.id, 'saved_at', k.saved_at, 'body', k.body)
                         ORDER BY k.saved_at DESC, k.id DESC)
          FROM annotate_keptdraft k WHERE k.task_id = t.id AND k.labeler_id = h.labeler_id)::text
  FROM held h
  JOIN annotate_judgingsettings j ON j.id = h.settings_id
  JOIN annotate_task t ON t.id = h.task_id
  JOIN annotate_round r ON r.id = t.round_id
  JOIN annotate_project p ON p.id = r.project_id
  JOIN annotate_prompt q ON q.id = t.prompt_id
  CROSS JOIN LATERAL (
       SELECT array_agg(c.text ORDER BY o.n) texts,
              array_agg(c.finish_reason = 'length' ORDER BY o.n) cut_off
         FROM unnest(h."order") WITH ORDINALITY o(id, n)
         JOIN annotate_completion c ON c.id = o.id
  ) seen
  LEFT JOIN annotate_draft d ON d.task_id = t.id AND d.labeler_id = h.labeler_id
"""

# Who had the task before sees it in the same order again: a draft, and a ranking that is sent late
# under the earlier claim, name the responses by the letters of that order.
# A scalar subquery instead of NOT EXISTS, because the planner turns the latter into a join with
# every claim that the labeler ever made.
_TAKE = f"""
WITH free AS (
    SELECT s.id, s.task_id, s.claim_id FROM annotate_slot s
     WHERE s.round_id = %(round)s AND s.ranking_id IS NULL AND s.stale = %(stale)s
       AND s.position >= %(from)s
       AND (s.lease_until IS NULL OR s.lease_until < now())
       AND (SELECT mine.id FROM annotate_claim mine
             WHERE mine.task_id = s.task_id AND mine.labeler_id = %(labeler)s
               AND (mine.state IN ({_SPENT}) OR mine.id = ANY(%(have)s::bigint[]))
             LIMIT 1) IS NULL
     ORDER BY s.position, s.number LIMIT 1 FOR UPDATE OF s SKIP LOCKED
), lost AS (
    UPDATE annotate_claim SET state = 'expired', ended_at = now()
     WHERE id = (SELECT claim_id FROM free) AND state = 'live'
), held AS (
    INSERT INTO annotate_claim (project_id, task_id, labeler_id, state, "order", settings_id,
                                expires_at, created_at, reason, note)
    SELECT %(project)s, free.task_id, %(labeler)s, 'live',
           COALESCE((SELECT seen."order" FROM annotate_claim seen
                      WHERE seen.task_id = free.task_id AND seen.labeler_id = %(labeler)s
                      ORDER BY seen.id DESC LIMIT 1),
                    ARRAY(SELECT c.id FROM annotate_completion c WHERE c.task_id = free.task_id
                           ORDER BY random())),
           (SELECT j.id FROM annotate_judgingsettings j WHERE j.project_id = %(project)s
             ORDER BY j.id DESC LIMIT 1),
           now() + make_interval(secs => %(lease)s), now(), '', ''
      FROM free
    RETURNING id, task_id, labeler_id, "order", settings_id, expires_at
), hold AS (
    UPDATE annotate_slot s SET claim_id = held.id, lease_until = held.expires_at
      FROM held, free WHERE s.id = free.id
)
{_SEE}
"""  # noqa: S608  (made of constants)

_HOLD_ON = f"""
WITH hold AS (
    UPDATE annotate_slot SET lease_until = now() + make_interval(secs => %(lease)s)
     WHERE claim_id = %(claim)s AND ranking_id IS NULL
    RETURNING claim_id, lease_until
), held AS (
    UPDATE annotate_claim c SET expires_at = hold.lease_until
      FROM hold WHERE c.id = hold.claim_id AND c.state = 'live'
    RETURNING c.id, c.task_id, c.labeler_id, c."order", c.settings_id, c.expires_at
)
{_SEE}
"""  # noqa: S608  (made of constants)

_LOOK = f"""
WITH held AS (
    SELECT id, task_id, labeler_id, "order", settings_id, expires_at
      FROM annotate_claim WHERE id = %(claim)s
)
{_SEE}
"""  # noqa: S608  (made of constants)


def _row(sql: str, parameters: dict[str, Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row


def standing(*, slug: str, labeler_id: int) -> Standing | None:
    """Where the labeler stands; None when there is no such project."""
    row = _row(_STANDING, {"slug": slug, "labeler": labeler_id})
    return None if row is None else Standing(*row)


def take(
    *,
    project_id: int,
    round_id: int,
    labeler_id: int,
    lease_seconds: int,
    from_position: int,
    stale: bool = False,
    have: Sequence[int] = (),
) -> HeldTask | None:
    """Claim the first free slot at or after a position of the round, if there is one.

    stale: among the tasks that a former model wrote, else among the others.
    have: claims of the labeler whose tasks are not to be offered, even if they were lost.
    Two requests never get the same slot (`SKIP LOCKED`). Raises IntegrityError when the same
    labeler takes two slots of one task in the same instant: try again.
    """
    row = _row(
        _TAKE,
        {
            "project": project_id,
            "round": round_id,
            "labeler": labeler_id,
            "lease": float(lease_seconds),
            "from": from_position,
            "stale": stale,
            "have": list(have),
        },
    )
    return None if row is None else HeldTask(*row)


def hold_on(*, claim_id: int, lease_seconds: int) -> HeldTask | None:
    """Renew the lease of a claim; None when its slot has gone to somebody else."""
    row = _row(_HOLD_ON, {"claim": claim_id, "lease": float(lease_seconds)})
    return None if row is None else HeldTask(*row)


def look(*, claim_id: int) -> HeldTask | None:
    """A claim as its labeler sees it, whatever became of it."""
    row = _row(_LOOK, {"claim": claim_id})
    return None if row is None else HeldTask(*row)


def first_not_in(live: Sequence[int], have: Sequence[int]) -> int | None:
    """The oldest held claim that the client does not know of."""
    known = set(have)
    return next((claim_id for claim_id in live if claim_id not in known), None)
