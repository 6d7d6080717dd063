"""Task groups for the exports, read batch by batch.

Each batch is a few short statements that go on where the last one ended. So an export takes memory
for one batch only, holds no transaction open while a client reads slowly, and never runs into the
statement timeout. What is ranked meanwhile may or may not be in the file; each task is whole.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import connection

from annotate.exchange.groups import (
    ExportedCompletion,
    ExportedRanking,
    TaskGroup,
)
from formats.documents import with_documents

FIRST_BATCH, LARGEST_BATCH = 64, 512
# Tasks with long texts are read in smaller batches.
BATCH_CHARACTERS = 8_000_000

_ROUNDS = """
SELECT id, number FROM annotate_round
 WHERE project_id = %s AND (%s::int IS NULL OR number = %s) ORDER BY number
"""
_TASKS = """
SELECT t.position, t.id, p.id, p.external_id, p.split, p.messages::text, p.documents::text
  FROM annotate_task t JOIN annotate_prompt p ON p.id = t.prompt_id
 WHERE t.round_id = %s AND t.position > %s AND (%s::text IS NULL OR p.split = %s)
   AND EXISTS (SELECT FROM annotate_ranking r WHERE r.task_id = t.id AND r.current)
 ORDER BY t.position LIMIT %s
"""
# In any order, because preferences name them by id. What they do not tell is as by default.
_ANSWERS = """
SELECT task_id, id, text, model_name, '', 0.0::float8, 1.0::float8, 0, finish_reason
  FROM annotate_completion WHERE task_id = ANY(%s)
"""
_COMPLETIONS = """
SELECT task_id, id, text, model_name, adapter_hash,
       COALESCE((sampling->>'temperature')::float8, 0), COALESCE((sampling->>'top_p')::float8, 1),
       COALESCE((sampling->>'max_tokens')::int, 0), finish_reason, token_count,
       COALESCE(logprob_sum, 0)
  FROM annotate_completion WHERE task_id = ANY(%s) ORDER BY task_id, number
"""
_LABELERS = """
SELECT r.task_id, r.id, u.username
  FROM annotate_ranking r JOIN annotate_user u ON u.id = r.labeler_id
 WHERE r.task_id = ANY(%s) AND r.current ORDER BY r.id
"""
# One row a ranking: a row a comparison would cost the reader twice the time.
_COMPARISONS = """
SELECT ranking_id, array_agg(id ORDER BY id), array_agg(winner_id ORDER BY id),
       array_agg(loser_id ORDER BY id), array_agg(tie ORDER BY id),
       array_agg(strength ORDER BY id), array_agg(winner_unacceptable ORDER BY id),
       array_agg(loser_unacceptable ORDER BY id)
  FROM annotate_comparison WHERE ranking_id = ANY(%s) AND NOT tie GROUP BY ranking_id
"""
_RANKINGS = """
SELECT r.task_id, r.id, u.username, r.tiers::text, r.strengths::text, r.unacceptable::text,
       r."order", r.ratings::text, r.tags, r.rationale, r.active_ms, r.created_at, r.revision,
       r.could_look
  FROM annotate_ranking r JOIN annotate_user u ON u.id = r.labeler_id
 WHERE r.task_id = ANY(%s) AND r.current ORDER BY r.id
"""

_COUNTED = """
SELECT ranking_id FROM annotate_slot WHERE task_id = ANY(%s) AND ranking_id IS NOT NULL
"""

_Row = tuple[Any, ...]


class _Parts(NamedTuple):
    """Of a batch of tasks, by task id."""

    completions: dict[int, list[ExportedCompletion]]
    rankings: dict[int, list[ExportedRanking]]


def preference_groups(
    project_id: int, *, round_number: int | None = None, split: str | None = None
) -> Iterator[TaskGroup]:
    """Every task with a current ranking, by round, with what the preference exports need."""
    return _groups(project_id, round_number, split, _compared)


def ranking_groups(
    project_id: int, *, round_number: int | None = None, split: str | None = None
) -> Iterator[TaskGroup]:
    """Every task with a current ranking, by round, with what the ranking exports need."""
    return _groups(project_id, round_number, split, _ranked)


def _groups(
    project_id: int,
    round_number: int | None,
    split: str | None,
    parts_of: Callable[[list[int]], _Parts],
) -> Iterator[TaskGroup]:
    for round_id, number in _rows(_ROUNDS, project_id, round_number, round_number):
        position, size = -1, FIRST_BATCH
        while tasks := _rows(_TASKS, round_id, position, split, split, size):
            position = tasks[-1][0]
            parts = parts_of([task[1] for task in tasks])
            yield from _batch(number, tasks, parts)
            size = _next_size(tasks, parts)


def _batch(number: int, tasks: list[_Row], parts: _Parts) -> Iterator[TaskGroup]:
    for _, task_id, prompt_id, external_id, split, messages, documents in tasks:
        context = orjson.loads(documents)
        yield TaskGroup(
            task_id,
            prompt_id,
            external_id,
            number,
            split,
            with_documents(orjson.loads(messages), context),
            parts.completions[task_id],
            # Withdrawn between two statements: then there is nothing to say about the task.
            parts.rankings.get(task_id, []),
            context,
        )


def _next_size(tasks: list[_Row], parts: _Parts) -> int:
    characters = sum(len(task[5]) + len(task[6]) for task in tasks) + sum(
        len(completion.text) for each in parts.completions.values() for completion in each
    )
    fitting = BATCH_CHARACTERS * len(tasks) // max(characters, 1)
    return max(1, min(fitting, LARGEST_BATCH))


def _compared(task_ids: list[int]) -> _Parts:
    rankings: dict[int, list[ExportedRanking]] = defaultdict(list)
    labelers = _rows(_LABELERS, task_ids)
    pairs = _rows(_COMPARISONS, [ranking_id for _, ranking_id, _ in labelers])
    comparisons = {ranking_id: list(zip(*columns, strict=True)) for ranking_id, *columns in pairs}
    for task_id, ranking_id, labeler in labelers:
        said = comparisons.get(ranking_id, [])
        rankings[task_id].append(ExportedRanking(ranking_id, labeler, said))
    return _Parts(_completions(_ANSWERS, task_ids), rankings)


def _ranked(task_ids: list[int]) -> _Parts:
    rankings: dict[int, list[ExportedRanking]] = defaultdict(list)
    counted = {ranking_id for (ranking_id,) in _rows(_COUNTED, task_ids)}
    for row in _rows(_RANKINGS, task_ids):
        rankings[row[0]].append(_ranking(*row[1:], counted=row[1] in counted))
    return _Parts(_completions(_COMPLETIONS, task_ids), rankings)


def _ranking(
    key: int,
    labeler: str,
    tiers: str,
    strengths: str,
    unacceptable: str,
    shown: list[int],
    ratings: str,
    tags: list[str],
    rationale: str,
    active_ms: int,
    created_at: datetime,
    revision: int,
    could_look: bool | None,
    *,
    counted: bool,
) -> ExportedRanking:
    return ExportedRanking(
        id=key,
        labeler=labeler,
        tiers=orjson.loads(tiers),
        strengths=orjson.loads(strengths),
        unacceptable={mark["completion"]: mark["reason"] for mark in orjson.loads(unacceptable)},
        shown=shown,
        ratings=orjson.loads(ratings),
        tags=tags,
        rationale=rationale,
        active_ms=active_ms,
        created_at=created_at,
        revision=revision,
        counted=counted,
        could_look=could_look,
    )


def _completions(statement: str, task_ids: list[int]) -> dict[int, list[ExportedCompletion]]:
    completions: dict[int, list[ExportedCompletion]] = defaultdict(list)
    for row in _rows(statement, task_ids):
        completions[row[0]].append(ExportedCompletion(*row[1:]))
    return completions


def _rows(statement: str, *parameters: Any) -> list[_Row]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[_Row] = cursor.fetchall()
        return rows


# By what is exported: a key of annotate.exchange.exporters.EXPORTERS.
READERS: Mapping[str, Callable[..., Iterator[TaskGroup]]] = {
    "comparisons": preference_groups,
    "rankings": ranking_groups,
}
