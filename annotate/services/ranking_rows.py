"""The two statements of a submit: read what it depends on, and write all that follows from it.

Thirty labelers at once submit through these, so each is one round trip to the database and nothing
is locked in between. What changes between the two is caught by the second: the slot is filled only
while the claim still holds it, and the unique constraints refuse a second ranking.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from psycopg.types.json import Jsonb

from annotate.ranking import Pair
from formats.completions import Completion

ASKED = 8  # the place of `asked` among the columns of Standing


@dataclass(frozen=True, slots=True)
class Standing:
    """What a ranking under a claim depends on. `replay`: the ranking stored under this key.

    texts, cut_off: of the responses, in their order.
    settings_id, asked: the settings that the labeler was shown, whatever holds by now.
    """

    claim_id: int
    claim_state: str
    task_id: int
    round_id: int
    project_id: int
    prompt_id: int
    order: list[int]
    settings_id: int
    asked: dict[str, Any]
    replay: int | None
    current_ranking: int | None
    slot_id: int | None
    texts: list[str]
    cut_off: list[bool]

    @property
    def written(self) -> list[Completion]:
        """The responses in their order."""
        return [Completion(*each) for each in zip(self.texts, self.cut_off, strict=True)]


@dataclass(frozen=True, slots=True)
class Stored:
    id: int
    created_at: datetime
    counted: bool


# A lost claim whose labeler has meanwhile claimed the same task anew speaks for the new claim, but
# as it was asked itself.
_READ = """
WITH mine AS (
    SELECT old.id, old.settings_id, COALESCE(new.id, old.id) AS best
      FROM annotate_claim old
      LEFT JOIN annotate_claim new
        ON old.state IN ('expired', 'released') AND new.task_id = old.task_id
       AND new.labeler_id = old.labeler_id AND new.state = 'live'
     WHERE old.id = %(claim)s AND old.labeler_id = %(labeler)s
), held AS (
    SELECT s.id, s.claim_id FROM annotate_slot s JOIN mine ON s.claim_id = mine.best
     WHERE s.ranking_id IS NULL
)
SELECT c.id, c.state, t.id, t.round_id, c.project_id, t.prompt_id, c."order",
       j.id, j.content::text,
       (SELECT k.id FROM annotate_ranking k
         WHERE k.labeler_id = %(labeler)s AND k.key = %(key)s),
       (SELECT k.id FROM annotate_ranking k
         WHERE k.task_id = t.id AND k.labeler_id = %(labeler)s AND k.current),
       held.id, seen.texts, seen.cut_off
  FROM mine
  LEFT JOIN held ON true
  JOIN annotate_claim c ON c.id = mine.best
  JOIN annotate_task t ON t.id = c.task_id
  JOIN annotate_judgingsettings j ON j.id = mine.settings_id
  CROSS JOIN LATERAL (
       SELECT array_agg(a.text ORDER BY o.n) texts,
              array_agg(a.finish_reason = 'length' ORDER BY o.n) cut_off
         FROM unnest(c."order") WITH ORDINALITY o(id, n)
         JOIN annotate_completion a ON a.id = o.id
  ) seen
 WHERE EXISTS (SELECT FROM annotate_membership m
                WHERE m.project_id = c.project_id AND m.user_id = %(labeler)s
                  AND m.role <> 'viewer')
    OR EXISTS (SELECT FROM annotate_user u WHERE u.id = %(labeler)s AND u.is_superuser)
"""

# The slot is filled first, because that CTE is read, and then the claim ended: in the order in
# which the queue takes them over. A lost claim ends as ranked too, or its labeler would be offered
# the task again; unless they declined it under a later claim, which says so already. The claim gets
# the settings under which it was said, where a lost one spoke for it. A draft that the page which
# submits has never shown is left.
_INSERT = """
WITH said AS (
    INSERT INTO annotate_ranking
           (project_id, round_id, task_id, claim_id, labeler_id, key, "order", tiers,
            unacceptable, strengths, ratings, tags, rationale, active_ms, revision, current,
            could_look, created_at)
    VALUES (%(project)s, %(round)s, %(task)s, %(claim)s, %(labeler)s, %(key)s, %(order)s,
            %(tiers)s, %(unacceptable)s, %(strengths)s, %(ratings)s, %(tags)s, %(rationale)s,
            %(active_ms)s, 1, true,
            EXISTS (SELECT FROM annotate_membership m
                     WHERE m.project_id = %(project)s AND m.user_id = %(labeler)s
                       AND m.role IN ('owner', 'admin', 'reviewer'))
            OR EXISTS (SELECT FROM annotate_user u WHERE u.id = %(labeler)s AND u.is_superuser),
            now())
    RETURNING id, created_at
), pairs AS (
    INSERT INTO annotate_comparison (ranking_id, winner_id, loser_id, tie, strength,
                                     winner_unacceptable, loser_unacceptable)
    SELECT said.id, pair.* FROM said,
           unnest(%(winners)s::bigint[], %(losers)s::bigint[], %(ties)s::boolean[],
                  %(strength)s::smallint[], %(winner_bad)s::boolean[], %(loser_bad)s::boolean[])
           AS pair
), ended AS (
    UPDATE annotate_claim c SET state = 'ranked', ended_at = now(), settings_id = %(settings)s
     WHERE id = %(claim)s
       AND (state = 'live' OR state IN ('expired', 'released') AND NOT EXISTS (
            SELECT FROM annotate_claim other
             WHERE other.task_id = c.task_id AND other.labeler_id = c.labeler_id
               AND other.state IN ('skipped', 'flagged')))
), drafted AS (
    DELETE FROM annotate_draft WHERE task_id = %(task)s AND labeler_id = %(labeler)s
       AND (%(base)s::bigint IS NULL OR version <= %(base)s OR writer = %(writer)s)
), beside AS (
    DELETE FROM annotate_keptdraft
     WHERE task_id = %(task)s AND labeler_id = %(labeler)s AND writer = %(writer)s
), demonstrated AS (
    INSERT INTO annotate_demonstration (prompt_id, labeler_id, ranking_id, started_from_id, text,
                                        created_at)
    SELECT %(prompt)s, %(labeler)s, said.id, %(started_from)s::bigint, %(demonstration)s::text,
           now()
      FROM said WHERE %(demonstration)s::text <> ''
), filled AS (
    UPDATE annotate_slot s SET ranking_id = said.id FROM said
     WHERE s.id = %(slot)s AND s.claim_id = %(claim)s AND s.ranking_id IS NULL
    RETURNING s.id
)
SELECT said.id, said.created_at, EXISTS (SELECT FROM filled) FROM said
"""


def read(*, claim_id: int, labeler_id: int, key: UUID) -> Standing | None:
    """What stands now; None unless the claim is the labeler's own, in a project of theirs."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, {"claim": claim_id, "labeler": labeler_id, "key": key})
        row = cursor.fetchone()
    if row is None:
        return None
    columns = list(row)
    columns[ASKED] = orjson.loads(columns[ASKED])
    return Standing(*columns)


def insert(
    standing: Standing,
    *,
    labeler_id: int,
    key: UUID,
    row: dict[str, Any],
    pairs: Sequence[Pair],
    base: int | None = None,
    writer: str = "",
) -> Stored:
    """Write a ranking with all that belongs to it, fill its slot, end its claim, drop its draft.

    base, writer: of the draft that it was made from, as in `drafts.Origin`.

    Raises IntegrityError when the labeler has ranked the task since `read`.
    """
    columns: tuple[tuple[Any, ...], ...] = tuple(zip(*pairs, strict=True))
    winners, losers, ties, strength, winner_bad, loser_bad = columns
    parameters = {
        "project": standing.project_id,
        "round": standing.round_id,
        "task": standing.task_id,
        "claim": standing.claim_id,
        "labeler": labeler_id,
        "key": key,
        "order": standing.order,
        "tiers": Jsonb(row["tiers"]),
        "unacceptable": Jsonb(row["unacceptable"]),
        "strengths": Jsonb(row["strengths"]),
        "ratings": Jsonb(row["ratings"]),
        "tags": row["tags"],
        "rationale": row["rationale"],
        "active_ms": row["active_ms"],
        "winners": list(winners),
        "losers": list(losers),
        "ties": list(ties),
        "strength": list(strength),
        "winner_bad": list(winner_bad),
        "loser_bad": list(loser_bad),
        "settings": standing.settings_id,
        "base": base,
        "writer": writer,
        "slot": standing.slot_id,
        "prompt": standing.prompt_id,
        "started_from": row["started_from"],
        "demonstration": row["demonstration"],
    }
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, parameters)
        stored = cursor.fetchone()
    return Stored(*stored)
