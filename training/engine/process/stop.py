"""SIGTERM and SIGINT ask the run to stop; a second one ends it at once."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from training.engine.errors import StoppedAtOnce

# On Ctrl-C the launcher of several processes passes on a SIGTERM after the terminal's SIGINT; what
# comes this soon after the first is the same request.
SAME_REQUEST_S = 2.0
_ASKED = b"\nStopping after this step, with a checkpoint; once more ends it at once.\n"
_STDERR = 2


class StopRequest:
    """Polled by the training loop after every step, and before every pack that is measured."""

    def __init__(self) -> None:
        self._since: float | None = None

    @property
    def requested(self) -> bool:
        return self._since is not None

    def request(self) -> None:
        self._since = time.monotonic()

    @contextmanager
    def on_signals(self, end_at_once: Callable[[], None]) -> Iterator[None]:
        """Listen to SIGTERM and SIGINT; only in the main thread.

        end_at_once: is called on a second signal, and the process ends after it, with the exit
        code of StoppedAtOnce.
        """

        def handle(number: int, frame: FrameType | None) -> None:
            if self._since is None:
                self.request()
                # Not print: the signal may have come in the middle of one.
                os.write(_STDERR, _ASKED)
            elif time.monotonic() - self._since > SAME_REQUEST_S:
                try:
                    end_at_once()
                finally:
                    os._exit(StoppedAtOnce.exit_code)

        numbers = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, handle) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)
