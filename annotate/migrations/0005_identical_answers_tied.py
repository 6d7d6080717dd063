"""Comparisons of identical answers become ties, in rankings from before that was so at the desk.

What the labelers entered stays in their rankings.
"""

from typing import Any, ClassVar

from django.apps.registry import Apps
from django.db import migrations

from annotate.ranking import Judgment, comparisons, same_of, without_alike_pairs
from formats.completions import CUT_OFF, Completion

# What Python's rstrip takes away.
BLANKS = "".join(letter for letter in map(chr, range(0x3001)) if letter.isspace())
_TASKS = """
SELECT DISTINCT a.task_id
  FROM annotate_completion a
  JOIN annotate_completion b ON b.task_id = a.task_id AND b.id > a.id
 WHERE rtrim(a.text, %s) = rtrim(b.text, %s)
   AND (a.finish_reason = %s) = (b.finish_reason = %s)
   AND EXISTS (SELECT FROM annotate_ranking r WHERE r.task_id = a.task_id AND r.current)
"""


def tie_identical(apps: Apps, schema_editor: Any) -> None:
    """Derive anew the comparisons of every current ranking of a task with identical answers."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(_TASKS, [BLANKS, BLANKS, CUT_OFF, CUT_OFF])
        tasks = [task_id for (task_id,) in cursor.fetchall()]
    written = apps.get_model("annotate", "Completion")
    rankings = apps.get_model("annotate", "Ranking")
    for task_id in tasks:
        answers = list(written.objects.filter(task_id=task_id).order_by("number"))
        same = same_of(
            [each.pk for each in answers],
            [Completion(each.text, each.finish_reason == CUT_OFF) for each in answers],
        )
        for ranking in rankings.objects.filter(task_id=task_id, current=True):
            _derive(apps, ranking, same)


def _derive(apps: Apps, ranking: Any, same: dict[int, int]) -> None:
    comparison = apps.get_model("annotate", "Comparison")
    said = Judgment(
        tuple(map(tuple, ranking.tiers)),
        frozenset(mark["completion"] for mark in ranking.unacceptable),
        tuple(ranking.strengths),
    )
    comparison.objects.filter(ranking_id=ranking.pk).delete()
    comparison.objects.bulk_create(
        comparison(
            ranking_id=ranking.pk,
            winner_id=pair.winner,
            loser_id=pair.loser,
            tie=pair.tie,
            strength=pair.strength,
            winner_unacceptable=pair.winner_unacceptable,
            loser_unacceptable=pair.loser_unacceptable,
        )
        for pair in comparisons(without_alike_pairs(said, same))
    )


class Migration(migrations.Migration):
    dependencies: ClassVar = [("annotate", "0004_current_model")]
    operations: ClassVar = [migrations.RunPython(tie_identical, migrations.RunPython.noop)]
