"""What the engine writes into a run's folder, as the database has it: every two seconds."""

import logging
from collections.abc import Set
from pathlib import Path
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction

from training.models import RunMetric, TrainingRun
from training.runs.folder import RunFiles, read_json
from training.runs.log_tail import bound, tail
from training.runs.memory import in_mb, with_room
from training.runs.metric_lines import Change, MetricLines
from training.services.runs import leases
from training.services.runs.rollouts import Rollouts

log = logging.getLogger(__name__)
ROWS_AT_A_TIME = 5000
LONGEST_PHASE = 100
Mark = tuple[int, int, int] | None


class Sync:
    """One start of a run, seen from its folder."""

    def __init__(self, run: TrainingRun, folder: RunFiles) -> None:
        self._run, self._folder = run, folder
        known = RunMetric.objects.filter(run=run).order_by("position")
        values = [line.values for line in known.iterator(ROWS_AT_A_TIME)]
        self._lines = MetricLines(folder.metrics, values)
        self._rollouts = Rollouts(run, folder.rollouts)
        self._best_step = max((_step(line) for line in values), default=0)
        self._read: dict[Path, Mark] = {}
        self._stop = False

    def once(self) -> bool:
        """Bring the database up to date; returns whether somebody asked the run to stop.

        A database that is away for a while ends no run. Raises LeaseLost.
        """
        try:
            while self._part():
                pass
        except (OperationalError, InterfaceError) as problem:
            log.warning("%s: the database is away: %s", self._run, problem)
            connection.close()
        return self._stop

    def _part(self) -> bool:
        """Whether there is more to read."""
        # Before they are read: what is written in between is read the next time.
        folder = self._folder
        places = (folder.log, folder.manifest, folder.data_report)
        marks = {place: _mark(place) for place in places}
        change, answers = self._lines.look(), self._rollouts.look()
        new = {place for place, mark in marks.items() if mark != self._read.get(place)}
        values = {**self._progress(), **self._log(new), **self._manifest(new), **self._data(new)}
        if change and self._goes_further(change):
            values["losses"] = 0
        with transaction.atomic():
            self._stop = leases.beat(self._run, **values)
            if change and change.rewrites:
                self._write(change)
            if answers:
                self._rollouts.write(answers)
        self._read = marks
        if change:
            self._lines.taken(change)
        if answers:
            self._rollouts.taken(answers)
        return bool(change or answers)

    def _progress(self) -> dict[str, Any]:
        beat = read_json(self._folder.heartbeat)
        if beat is None:
            return {}
        step, steps = int(beat["step"]), beat["steps"]
        whole = None if steps is None else max(int(steps), step)
        return {"phase": str(beat["phase"])[:LONGEST_PHASE], "step": step, "steps": whole}

    def _log(self, new: Set[Path]) -> dict[str, Any]:
        bound(self._folder.log)
        return {"log": tail(self._folder.log)} if self._folder.log in new else {}

    def _manifest(self, new: Set[Path]) -> dict[str, Any]:
        return made_of(self._run, self._folder) if self._folder.manifest in new else {}

    def _data(self, new: Set[Path]) -> dict[str, Any]:
        place = self._folder.data_report
        report = read_json(place) if place in new else None
        return {} if report is None else {"data_report": report}

    def _goes_further(self, change: Change) -> bool:
        """Whether a step was made that no start before has made."""
        last = max((_step(line) for line in change.rows), default=0)
        further, self._best_step = last > self._best_step, max(last, self._best_step)
        return further

    def _write(self, change: Change) -> None:
        RunMetric.objects.filter(run=self._run, position__gte=change.start).delete()
        RunMetric.objects.bulk_create(
            (
                RunMetric(run=self._run, position=position, values=line)
                for position, line in enumerate(change.rows, change.start)
            ),
            batch_size=ROWS_AT_A_TIME,
        )


def made_of(run: TrainingRun, folder: RunFiles) -> dict[str, Any]:
    """`made`, and `estimate` where the run has none: run.json, whose spec has this machine's paths
    and is the run's own otherwise.
    """
    manifest = read_json(folder.manifest)
    if manifest is None:
        return {}
    manifest.pop("spec", None)
    found: dict[str, Any] = {"made": manifest}
    estimate = manifest.get("memory", {}).get("estimate")
    if estimate and run.estimate is None:
        found["estimate"] = with_room(in_mb(estimate))
    return found


def _step(line: dict[str, Any]) -> int:
    step = line.get("step")
    return step if isinstance(step, int) else 0


def _mark(place: Path) -> Mark:
    """Another one after every change: files may change twice within a tick of the clock."""
    try:
        found = place.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
