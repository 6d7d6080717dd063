"""The loop of `make run`: start, watch and stop the children in order."""

import errno
import signal
import time
from pathlib import Path

from annotate.launch import leftovers
from annotate.launch.child import Child, Spec, State
from annotate.launch.refusal import Refusal
from annotate.launch.terminal import Terminal

TICK = 0.05  # seconds
STEADY_TICK = 0.25


class Stopped(Exception):
    """Someone asked to stop while the start was still under way."""


class Supervisor:
    """Holds the children of one machine.

    remembered: file with the process groups of the children, for the start after a kill -9.
    """

    def __init__(self, terminal: Terminal, remembered: Path) -> None:
        self.terminal = terminal
        self.children: list[Child] = []
        self._remembered = remembered
        self._asked_at: float | None = None
        self._force = False
        self._known: list[object] = []  # the processes in `remembered`

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
        elif now - self._asked_at > 1:  # make passes on a signal that the group had already
            self._force = True

    @property
    def asked_to_stop(self) -> bool:
        return self._asked_at is not None

    def add(self, spec: Spec) -> Child:
        child = Child(spec, self.terminal.say)
        self.children.append(child)
        child.start()
        self._remember_changes()
        return child

    def until_ready(self, *waited: Child) -> None:
        """Raises Refusal when one of them ends or takes too long, Stopped when asked to stop."""
        while not all(child.state is State.READY for child in waited):
            self._pause(TICK)
            self._tick()
            for child in waited:
                if child.failures:
                    raise Refusal(f"{child.spec.name} {child.why(child.poll() or 0)}")

    def run(self, name: str, command: list[str], log: Path) -> None:
        """A command that ends by itself. Raises Refusal with the reason when it fails."""
        spec = Spec(name=name, commands=[command], log=log, probe=lambda: False, start_within=600)
        child = Child(spec, lambda text: None)
        child.start()
        try:
            while (code := child.poll()) is None:
                self._pause(TICK)
                self._tick()
        finally:
            child.kill()
        if code:
            raise Refusal(f"{name} {child.why(code)}")

    def watch(self) -> None:
        """Until someone asks to stop or closes the terminal."""
        while not (self.asked_to_stop or self.terminal.hung_up()):
            self._tick()
            time.sleep(STEADY_TICK)

    def stop(self) -> None:
        """Stop the children one after the other, each within its time."""
        for child in sorted(self.children, key=lambda child: child.spec.stop_order):
            child.ask_to_stop()
            begin = time.monotonic()
            while not child.stop_tick():
                if self._force:
                    child.kill()
                time.sleep(TICK)
            self.terminal.say(f"{child.spec.name} stopped in {time.monotonic() - begin:.1f} s")
        self._remembered.unlink(missing_ok=True)

    def _pause(self, seconds: float) -> None:
        if self.asked_to_stop:
            raise Stopped
        time.sleep(seconds)

    def _tick(self) -> None:
        for child in self.children:
            child.tick()
        self._remember_changes()

    def _remember_changes(self) -> None:
        """Keep on disk what runs. On a full disk the next tick tries again."""
        processes: list[object] = [child.process for child in self.children]
        if processes == self._known:
            return
        running = [(c.spec, c.process.pid) for c in self.children if c.process is not None]
        found = [leftovers.group(spec.name, pid, spec.stop_signal) for spec, pid in running]
        try:
            leftovers.remember(self._remembered, [one for one in found if one is not None])
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        else:
            self._known = processes
