"""Who the engine tells how the run goes: files, heartbeat, and the person who watches."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from training.engine.process.display import Display
from training.engine.process.folder import now
from training.engine.process.heartbeat import Heartbeat
from training.engine.process.memory import RunMemory
from training.engine.process.metrics import MetricsWriter

if TYPE_CHECKING:  # a wrong spec is refused without the seconds of importing torch
    from torch import nn

    from training.engine.memory.estimate import MemoryEstimate


class Reporter:
    """Phases of a run, progress inside of one, metrics, memory, warnings."""

    def __init__(
        self,
        metrics: MetricsWriter,
        heartbeat: Heartbeat,
        display: Display,
        memory: RunMemory,
    ) -> None:
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._display = display
        self._memory = memory
        self._pace = Pace(None)
        self.warnings: list[str] = []

    def phase(self, name: str, total: int | None = None) -> None:
        """A new part of the run begins. name: in words. total: of what `progress` counts."""
        self._pace = Pace(total)
        self._heartbeat.phase(name, total)
        self._display.phase(name, total)

    def progress(self, done: int) -> None:
        """How much of the phase is done; the first call says where it started from."""
        self._pace.reached(done)
        self._heartbeat.step(done)
        self._display.progress(done)

    def metrics(self, values: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl; memory (peak, MB), time left (s) and time are added."""
        line = {
            **values,
            "memory_mb": self._memory.peak_mb(),
            "eta_s": self._pace.left_s(),
            "time": now(),
        }
        self._metrics.write(line)
        self._display.metrics(line)

    def memory(self, needed: "MemoryEstimate", model: "nn.Module") -> None:
        """Show what the run will take, before it does. model: whose weights it holds."""
        self._memory.expect(needed, model)
        self._display.say(self._memory.to_text())

    def warn(self, text: str) -> None:
        """Something a person should know; it is also kept for result.json."""
        if text not in self.warnings:
            self.warnings.append(text)
        self._display.say(f"Warning: {text}")


class Pace:
    """How fast a phase goes, and from that what is left."""

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._first: tuple[float, int] | None = None
        self._last = (0.0, 0)

    def reached(self, done: int) -> None:
        self._last = (time.monotonic(), done)
        self._first = self._first or self._last

    def left_s(self) -> float | None:
        """Seconds, or None as long as nobody can know."""
        if self._total is None or self._first is None or self._last[1] == self._first[1]:
            return None
        took, done = self._last[0] - self._first[0], self._last[1] - self._first[1]
        return round(max(self._total - self._last[1], 0) * took / done, 1)
