"""What a person sees of a run: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

from tqdm import tqdm  # type: ignore[import-untyped]

LINE_EVERY_S = 10.0
# Of all metrics, those worth watching.
SHOWN = ("loss", "accuracy", "reward", "lr")


class Display(Protocol):
    def phase(self, name: str, total: int | None) -> None: ...

    def progress(self, done: int) -> None: ...

    def metrics(self, values: Mapping[str, Any]) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


def display_for(*, visible: bool) -> Display:
    """visible: False in all processes but the first."""
    if not visible:
        return Silent()
    return Bar() if sys.stderr.isatty() else Lines()


class Silent:
    def phase(self, name: str, total: int | None) -> None:
        pass

    def progress(self, done: int) -> None:
        pass

    def metrics(self, values: Mapping[str, Any]) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class Bar:
    """One bar for each phase, on stderr."""

    def __init__(self) -> None:
        self._bar: Any = None

    def phase(self, name: str, total: int | None) -> None:
        self.close()
        self._bar = tqdm(desc=name, total=total, dynamic_ncols=True, file=sys.stderr)

    def progress(self, done: int) -> None:
        if self._bar is None:
            return
        if self._bar.n == 0 and done > 1:  # goes on from a checkpoint: that was not fast work
            self._bar.initial = done
        self._bar.update(done - self._bar.n)

    def metrics(self, values: Mapping[str, Any]) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(_short(values))

    def say(self, text: str) -> None:
        tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Lines:
    """For a log: a line for each phase, and for metrics at most every LINE_EVERY_S seconds."""

    def __init__(self) -> None:
        self._total: int | None = None
        self._done = 0
        self._last = 0.0

    def phase(self, name: str, total: int | None) -> None:
        self._total, self._done = total, 0
        self.say(name if total is None else f"{name} (0 of {total})")

    def progress(self, done: int) -> None:
        self._done = done

    def metrics(self, values: Mapping[str, Any]) -> None:
        over = self._done == self._total
        if not over and time.monotonic() - self._last < LINE_EVERY_S:
            return
        self._last = time.monotonic()
        of = "" if self._total is None else f" of {self._total}"
        self.say(f"{self._done}{of}: {_short(values)}")

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        pass


def _short(values: Mapping[str, Any]) -> str:
    parts = [f"{name} {values[name]:.4g}" for name in SHOWN if values.get(name) is not None]
    eta = values.get("eta_s")
    if eta:
        parts.append(f"{eta / 60:.0f} min left" if eta >= 90 else f"{eta:.0f} s left")
    return ", ".join(parts)
