"""metrics.jsonl as it grows, and as the engine rewinds it after a stop.

A run that goes on from a checkpoint repeats the steps after it: the engine takes their lines out of
the file before it writes the first new one, so the file is another one from some line on.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

AT_A_TIME = 1024 * 1024  # bytes
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """The lines from position `start` on are these, as far as the file was read.

    rewrites: what was known from `start` on is not so any more, or there are new lines. offset and
    position: bytes and lines that were read of the file `identity`.
    """

    start: int
    rows: list[Values]
    rewrites: bool
    identity: int
    offset: int
    position: int


class MetricLines:
    """The lines of a file beside those that are known already.

    known: the values of the lines that were taken before, by position.
    """

    def __init__(self, path: Path, known: Iterable[Values] = ()) -> None:
        self._path = path
        self._known = [_mark(values) for values in known]
        self._identity = self._offset = self._position = 0

    def look(self) -> Change | None:
        """What is new, a part at a time; the same again until it is `taken`. None: nothing."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                same = status.st_ino == self._identity and status.st_size >= self._offset
                offset, position = (self._offset, self._position) if same else (0, 0)
                file.seek(offset)
                content = file.read(AT_A_TIME)
        except FileNotFoundError:
            return None
        lines, length = _whole_lines(content)
        start = position + self._known_of(lines, position)
        rows = lines[start - position :]
        read = position + len(lines)
        cut_off = len(content) < AT_A_TIME and read < len(self._known)
        if same and not length and not cut_off:
            return None
        rewrites = bool(rows) or cut_off
        return Change(start, rows, rewrites, status.st_ino, offset + length, read)

    def taken(self, change: Change) -> None:
        """The change is where it belongs: look for what comes after it."""
        if change.rewrites:
            self._known[change.start :] = [_mark(values) for values in change.rows]
        self._identity, self._offset = change.identity, change.offset
        self._position = change.position

    def _known_of(self, lines: list[Values], position: int) -> int:
        """How many of the first lines are those that are known from the position on."""
        for number, values in enumerate(lines):
            place = position + number
            if place >= len(self._known) or self._known[place] != _mark(values):
                return number
        return len(lines)


def _whole_lines(content: bytes) -> tuple[list[Values], int]:
    """The values of the lines that have an end, and the bytes up to there."""
    length = content.rfind(b"\n") + 1
    found = (_values(line) for line in content[:length].splitlines())
    return [values for values in found if values is not None], length


def _values(line: bytes) -> Values | None:
    """None for a line that a killed run left half-written."""
    try:
        values = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return values if isinstance(values, dict) else None


def _mark(values: Values) -> bytes:
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
