"""A sign of life: heartbeat.json, rewritten every few seconds by a thread."""

import logging
import os
import threading
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Self

from training.engine.process.folder import RunFolder, now

INTERVAL_S = 2.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Beat:
    """What the run is doing. step, steps: of the phase; steps is None where nobody knows."""

    phase: str
    step: int = 0
    steps: int | None = None


class Heartbeat:
    """Beats from entering until leaving; a new phase is written at once."""

    def __init__(self, folder: RunFolder, interval_s: float = INTERVAL_S) -> None:
        self._folder = folder
        self._interval_s = interval_s
        self._beat = Beat("starting")
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        if self._folder.writes:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        self._wake.set()
        if self._folder.writes:
            self._thread.join()

    def phase(self, name: str, steps: int | None) -> None:
        self._beat = Beat(name, 0, steps)
        self._wake.set()

    def step(self, step: int) -> None:
        self._beat = replace(self._beat, step=step)

    def _run(self) -> None:
        while not self._ended:
            self._wake.clear()
            self._write()
            self._wake.wait(self._interval_s)
        self._write()

    def _write(self) -> None:
        beat = {"pid": os.getpid(), **asdict(self._beat), "time": now()}
        try:
            self._folder.write_json(self._folder.heartbeat, beat)
        except OSError as problem:
            # A full disk ends the run where it writes what matters, not here.
            log.warning("heartbeat.json could not be written: %s", problem)
