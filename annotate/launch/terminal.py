"""What the person in front of `make run` reads: one line for each thing that happens."""

import contextlib
import errno
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annotate.environment import without_secrets


class Terminal:
    """Prints lines with the seconds since the start, and keeps them in a file as well."""

    def __init__(self, log: Path | None = None) -> None:
        self.started = time.monotonic()
        self._log = log
        self._is_terminal = sys.stdout.isatty()
        self._gone = False  # the terminal was closed: go on and stop in order

    def say(self, text: str) -> None:
        line = f"[{time.monotonic() - self.started:6.1f} s] {without_secrets(text)}"
        self.show(line)

    def show(self, line: str, *, keep: bool = True) -> None:
        """Print a line as it is; `keep` also writes it to the log, which no password may reach."""
        if keep and self._log is not None:
            with contextlib.suppress(OSError), self._log.open("a") as log:  # the disk may be full
                log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        if self._gone:
            return
        try:
            print(line, file=sys.stdout, flush=True)
        except OSError as error:
            # Where the lines go to a file, a full disk is no reason to stop.
            self._gone = error.errno != errno.ENOSPC

    def hung_up(self) -> bool:
        """Whether the terminal was closed; make does not pass that signal on."""
        if self._is_terminal:
            try:
                termios.tcgetattr(sys.stdout)
            except (OSError, termios.error):
                self._gone = True
        return self._gone

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Announce a step, and say how long it took."""
        begin = time.monotonic()
        self.say(f"{what} …")
        yield
        self.say(f"{what}: done in {time.monotonic() - begin:.1f} s")
