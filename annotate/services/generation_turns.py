"""Whose round is written next: projects take turns, whatever the number of their rounds.

Who writes a round holds its advisory lock, so that `pg_locks` says what each project has in the
making. A place that is free goes to the project with the fewest rounds there; where none is free, a
project with several gives one up for a project with none. What all ask at the same time is shared
among the projects, and each one's part among its rounds.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from django.db import close_old_connections, connection

from annotate.queries.ahead import FREE, WANTED, bounds

LOCK_CLASS = 0x726E64  # "rnd": the first half of the advisory lock's key

# What several processes and threads write at this moment.
_AT_WORK = """
at_work AS (
    SELECT r.id, r.project_id FROM annotate_round r
      JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.classid = %(lock_class)s::oid
       AND l.objid = (r.id %% 2147483648)::oid
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
     WHERE r.state = 'generating'
), held AS (
    SELECT project_id, count(*) rounds, max(id) newest FROM at_work GROUP BY project_id
)
"""
# A round whose labelers have enough before them does not wait; one with nothing more to write does,
# to be settled.
_WAITING = f"""
waiting AS (
    SELECT r.id, r.project_id, COALESCE(h.rounds, 0) rounds,
           row_number() OVER (PARTITION BY r.project_id ORDER BY r.id) place
      FROM annotate_round r JOIN annotate_project p ON p.id = r.project_id
      LEFT JOIN held h ON h.project_id = r.project_id
     WHERE r.state = 'generating' AND NOT r.paused AND r.id NOT IN (SELECT id FROM at_work)
       AND (NOT EXISTS (SELECT FROM annotate_task t
                         WHERE t.round_id = r.id AND t.state = 'pending')
            OR {FREE} < {WANTED})
)
"""  # noqa: S608  (made of constants)
_NEXT = f"""
WITH {_AT_WORK}, {_WAITING}
SELECT id FROM waiting WHERE NOT id = ANY(%(not)s::bigint[])
 ORDER BY rounds + place, id LIMIT %(count)s
"""  # noqa: S608  (made of constants)

_SHARE = f"""
WITH {_AT_WORK}
SELECT GREATEST(1, count(DISTINCT project_id)),
       GREATEST(1, count(*) FILTER (WHERE project_id = (
           SELECT project_id FROM annotate_round WHERE id = %(round)s)))
  FROM at_work
"""  # noqa: S608  (made of constants)

_GIVES_WAY = f"""
WITH {_AT_WORK}, {_WAITING}, mine AS (
    SELECT project_id, rounds, newest FROM held ORDER BY rounds DESC, newest DESC LIMIT 1
)
SELECT mine.rounds,
       (SELECT min(rounds) FROM waiting WHERE waiting.project_id <> mine.project_id)
  FROM mine WHERE mine.newest = %(round)s
"""  # noqa: S608  (made of constants)


@dataclass(frozen=True, slots=True)
class Share:
    """projects: with rounds in the making; rounds: of those, this project's. Both at least 1."""

    projects: int
    rounds: int

    def of(self, total: int) -> int:
        """This round's part of what may be asked at the same time."""
        return total // self.projects // self.rounds

    @property
    def alone(self) -> bool:
        return self.projects == self.rounds == 1


def lock(round_id: int) -> bool:
    """Become the round's only writer for as long as this connection lives."""
    close_old_connections()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_lock(%s::int, %s::int)", [LOCK_CLASS, round_id % 2**31]
        )
        (mine,) = cursor.fetchone()
    return bool(mine)


def waiting_rounds(*, count: int = 100, but: Collection[int] = ()) -> list[int]:
    """Rounds that no process writes and that should be written or settled, whose turn it is first.

    The project with the fewest rounds in the making comes first, and its oldest round.
    """
    rows = _rows(_NEXT, count=count, **{"not": list(but)}, **bounds())
    return [round_id for (round_id,) in rows]


def share_of(round_id: int) -> Share:
    """How the round shares what may be asked at the same time with the others in the making."""
    ((projects, rounds),) = _rows(_SHARE, round=round_id)
    return Share(projects, rounds)


def gives_way(round_id: int) -> Literal["no", "now", "in turn"]:
    """Whether the round's writer makes room for a project that waits, where all places are taken.

    now: its project has more rounds in the making than the other one would have, of which this is
    the newest. in turn: each has one, and the other waits with none.
    """
    rows = _rows(_GIVES_WAY, round=round_id, **bounds())
    if not rows or rows[0][1] is None:
        return "no"
    ((mine, least),) = rows
    if mine > least + 1:
        return "now"
    return "in turn" if mine > least else "no"


def _rows(statement: str, **parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"lock_class": LOCK_CLASS, **parameters})
        rows: list[Any] = cursor.fetchall()
    return rows
