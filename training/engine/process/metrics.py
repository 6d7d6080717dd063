"""metrics.jsonl: one line for each logged step, there as soon as it is known."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from training.engine.process.folder import RunFolder
from training.engine.whole import write_whole


class MetricsWriter:
    """Appends to metrics.jsonl.

    A run that goes on from a checkpoint repeats the steps after it; the lines that the run before
    wrote about them, and one it left half-written, are removed before the first new line.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._begun = False

    def write(self, values: Mapping[str, Any]) -> None:
        """Values that are no finite number are written as null, which JSON has."""
        if not self._folder.writes:
            return
        if not self._begun:
            self._rewind(values.get("step"))
            self._begun = True
        line = json.dumps({key: _finite(value) for key, value in values.items()}, allow_nan=False)
        with self._folder.metrics.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _rewind(self, step: int | None) -> None:
        if not self._folder.metrics.exists():
            return
        text = self._folder.metrics.read_text(encoding="utf-8", errors="replace")
        kept = "".join(f"{line}\n" for line in _before(text, step))
        if kept != text:
            write_whole(self._folder.metrics, kept)


def _before(text: str, step: int | None) -> Iterator[str]:
    for line in text.splitlines():
        try:
            logged = json.loads(line).get("step")
        except json.JSONDecodeError:
            continue  # half-written
        if step is None or logged is None or logged < step:
            yield line


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
