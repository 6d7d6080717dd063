"""The answers that a run learned from, as the database has them."""

from collections.abc import Sequence
from pathlib import Path

from django.db.models import Count

from training.models import RunRollout, TrainingRun
from training.runs.rollout_keeping import to_drop
from training.runs.rollout_lines import Known, Part, RolloutLines

ROWS_AT_A_TIME = 500


class Rollouts:
    """Of one start of a run: what its rollouts.jsonl says that the database does not."""

    def __init__(self, run: TrainingRun, file: Path) -> None:
        self._run = run
        self._lines = RolloutLines(file, self._known)
        self.look, self.taken = self._lines.look, self._lines.taken

    def write(self, part: Part) -> None:
        """Put a part where it belongs, in the caller's transaction, and drop what is too much."""
        mine = RunRollout.objects.filter(run=self._run)
        begins = [
            place
            for place in (part.stale, *(row["place"] for row in part.rows[:1]))
            if place is not None
        ]
        if begins:
            # What is to be written as well: perhaps only the word that it was written is missing.
            mine.filter(place__gte=min(begins)).delete()
        if not part.rows:
            return
        RunRollout.objects.bulk_create(
            (RunRollout(run=self._run, **row) for row in part.rows), batch_size=ROWS_AT_A_TIME
        )
        counts = mine.order_by("step").values_list("step").annotate(answers=Count("pk"))
        if (span := to_drop(list(counts))) is not None:
            mine.filter(step__range=span).delete()

    def _known(self) -> Sequence[Known]:
        rows = RunRollout.objects.filter(run=self._run).order_by("place")
        return [Known(*row) for row in rows.values_list("place", "mark", "step", "number")]
