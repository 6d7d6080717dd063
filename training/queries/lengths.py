"""What a run would leave out of a snapshot for its length, before it is started."""

from typing import Any

from django.db import connection

from training.models import Snapshot
from training.runs.left_out import LeftOut, part

# By the tokens that the server counted; the engine counts anew, and may differ by a few.
_LONGER = """
WITH chosen AS (
    SELECT DISTINCT r.task_id FROM training_snapshotranking s
      JOIN annotate_ranking r ON r.id = s.ranking_id WHERE s.snapshot_id = %s
), asked AS (
    SELECT max(c.prompt_tokens) tokens FROM chosen
      JOIN annotate_completion c USING (task_id) GROUP BY task_id
), answered AS (
    SELECT c.token_count tokens FROM chosen JOIN annotate_completion c USING (task_id)
)
SELECT (SELECT count(*) FROM answered), (SELECT count(*) FROM answered WHERE tokens > %s),
       (SELECT count(*) FROM asked), (SELECT count(*) FROM asked WHERE tokens > %s)
"""


def expected(snapshot: Snapshot, spec: dict[str, Any]) -> list[LeftOut]:
    """Of a run with this spec: each reason with its count and share; none where all is read."""
    data = spec["data"]
    found: list[LeftOut] = []
    if data["rankings"]:
        limits = [data["max_completion_tokens"], data["max_prompt_tokens"]]
        with connection.cursor() as cursor:
            cursor.execute(_LONGER, [snapshot.pk, *limits])
            answers, long_answers, prompts, long_prompts = cursor.fetchone()
        found = [
            part(
                f"completion is longer than {limits[0]} tokens",
                long_answers,
                answers,
                "completions",
            ),
            part(f"prompt is longer than {limits[1]} tokens", long_prompts, prompts, "prompts"),
        ]
        counts = (snapshot.manifest or {}).get("counts", {})
        sides = [counts.get(side, {}) for side in ("train", "held_out")]
        identical = sum(side.get("identical", 0) for side in sides)
        found.append(part("identical answers, which are ties", identical, None, "pairs"))
    return [one for one in found if one["count"]]
