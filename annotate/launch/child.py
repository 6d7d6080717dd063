"""One supervised process: start, watch, restart with a growing delay, stop."""

import contextlib
import ctypes
import enum
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from annotate.launch import causes

LOG_LIMIT = 10 * 1024 * 1024  # bytes; one older file of the same size is kept
LONGEST_DELAY = 60.0  # seconds between two starts
STABLE_AFTER = 60.0  # seconds of service after which earlier crashes are forgotten
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

Probe = Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to run. Times are in seconds."""

    name: str
    commands: Sequence[Sequence[str]]  # all but the last end by themselves, the last serves
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    probe: Probe | None = None  # answers whether it serves; none: it serves when it stays alive
    probe_every: float = 0.2
    start_within: float = 60.0
    hopeless: str = ""  # what the log says when it lives on after a start that failed
    unhealthy_for: float | None = None  # restart when it lives but does not serve for so long
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: float = 15.0
    stop_order: int = 0  # lower ones stop first


class State(enum.Enum):
    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"  # crashed, and starts again after a delay
    STOPPING = "stopping"


class Child:
    """The process of a Spec through all its lives. `report` is told of each change, in words."""

    def __init__(self, spec: Spec, report: Callable[[str], None]) -> None:
        self.spec = spec
        self.state = State.STOPPED
        self.process: subprocess.Popen[bytes] | None = None
        self.failures = 0
        self._report = report
        self._command = 0
        self._since = 0.0
        self._served_at = 0.0
        self._probed_at = 0.0
        self._again_at = 0.0
        self._log_start = 0
        self._trouble = ""  # why it could not be asked, as last reported

    def start(self) -> None:
        self._command = 0
        self._spawn()

    def _spawn(self) -> None:
        """Start the next command. What the system has no room for is tried again like a crash."""
        try:
            self._open_and_start()
        except OSError as error:
            self.process = None
            self._again(f"could not be started: {error.strerror}")

    def _open_and_start(self) -> None:
        self.spec.log.parent.mkdir(parents=True, exist_ok=True)
        with self.spec.log.open("ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(
                self.spec.commands[self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.spec.environment},
                cwd=self.spec.folder,
                start_new_session=True,
                preexec_fn=_end_with_parent(self.spec.stop_signal),
            )
        self.state = State.STARTING
        self._since = time.monotonic()

    def tick(self) -> None:
        """Look at the process and do what is due. Called several times a second."""
        now = time.monotonic()
        self._bound_log()
        if self.state is State.WAITING and now >= self._again_at:
            self.start()
        elif self.state in (State.STARTING, State.READY) and self.process is not None:
            code = self.process.poll()
            if code == 0 and self._command + 1 < len(self.spec.commands):
                self._command += 1
                self._report(f"{self.spec.name} is prepared after {now - self._since:.1f} s")
                self._spawn()
            elif code is not None:
                self._crashed(code)
            elif self._serves(now):
                self._is_ready(now)
            elif self._is_hopeless(now):
                self.kill()
                self._crashed(self.process.wait())
            else:
                self._end_if_stuck(now)

    def _serves(self, now: float) -> bool:
        if self._command + 1 < len(self.spec.commands):
            return False
        if self.spec.probe is None:
            return now - self._since > 2.0
        if now - self._probed_at < self._probe_pause():
            return self.state is State.READY and self._served_at == self._probed_at
        self._probed_at = now
        if self._answers(self.spec.probe):
            self._served_at = now
        return self._served_at == now

    def _answers(self, probe: Probe) -> bool:
        """Whether the probe says so. One that raises got no answer: nothing ends for it."""
        try:
            answers, trouble = probe(), ""
        except Exception as error:
            answers, trouble = False, f"{type(error).__name__}: {error}"
        if trouble and trouble != self._trouble:
            self._report(f"{self.spec.name} cannot be asked: {trouble}")
        self._trouble = trouble
        return answers

    def _probe_pause(self) -> float:
        return self.spec.probe_every if self.state is State.STARTING else 5.0

    def _is_ready(self, now: float) -> None:
        if self.state is State.STARTING:
            self.state = State.READY
            self._report(f"{self.spec.name} is ready after {now - self._since:.1f} s")
            self._since = now
        elif now - self._since > STABLE_AFTER:
            self.failures = 0

    def _is_hopeless(self, now: float) -> bool:
        if not self.spec.hopeless or self.state is State.READY or self._probed_at != now:
            return False
        return self.spec.hopeless in causes.tail(self.spec.log, self._log_start)

    def _end_if_stuck(self, now: float) -> None:
        last_good = self._since if self.state is State.STARTING else self._served_at
        limit = self.spec.start_within if self.state is State.STARTING else self.spec.unhealthy_for
        if limit is not None and now - last_good > limit and self.process is not None:
            self._report(f"{self.spec.name} has not answered for {limit:.0f} s: restarting it")
            self.kill()
            self._crashed(self.process.wait())

    def _crashed(self, code: int) -> None:
        self.kill()  # what the process left behind: engines, pool workers
        self._again(self.why(code))

    def _again(self, reason: str) -> None:
        self.failures += 1
        delay = min(LONGEST_DELAY, 2.0 ** (self.failures - 1))
        self.state = State.WAITING
        self._again_at = time.monotonic() + delay
        self._report(f"{self.spec.name} {reason}; starting it again in {delay:.0f} s")

    def poll(self) -> int | None:
        """The exit status of the process; None while it lives."""
        return self.process.poll() if self.process is not None else 0

    def why(self, code: int) -> str:
        """The reason of the last end in one line, from the exit code and the log."""
        return causes.explain(code, self.spec.log, self._log_start)

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.state = State.STOPPING
            self._since = time.monotonic()
            self.process.send_signal(self.spec.stop_signal)
        else:
            self._stopped()

    def stop_tick(self) -> bool:
        """True when it has stopped, by itself or by force when its time is over."""
        if self.state is State.STOPPED:
            return True
        if self.process is not None and self.process.poll() is None:
            if time.monotonic() - self._since < self.spec.stop_within:
                return False
            self._report(f"{self.spec.name} did not stop in {self.spec.stop_within:.0f} s: killed")
        self._stopped()
        return True

    def _stopped(self) -> None:
        self.kill()
        self.state = State.STOPPED

    def kill(self) -> None:
        """End the process and everything in its group at once."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # nothing was left
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _bound_log(self) -> None:
        log = self.spec.log
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            with contextlib.suppress(OSError):  # on a full disk, to make room matters more
                shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)  # the child appends: it goes on at the new end
            self._log_start = 0


def _end_with_parent(stop_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def in_child() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)
        if os.getppid() != parent:  # it was gone before the line above
            os.kill(os.getpid(), signal.SIGKILL)

    return in_child
