"""rollouts.jsonl as it grows, and as the engine rewinds it after a stop; it may have gigabytes.

A run that goes on from a checkpoint repeats the steps after it: the engine replaces the file by one
that ends before them, and goes on there. What comes before stays byte for byte where it was, so of
the lines that are known some first ones are the same and no later one is: they are found by
halving, and the file is read from there on.
"""

import math
import os
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from training.runs.rollout_keeping import ANSWERS_A_STEP, NAME, SOURCES, shortened

AT_A_TIME = 4 * 1024 * 1024  # bytes; a longer line is skipped
LARGEST = 2**31 - 1
ROLES = frozenset({"system", "user", "assistant"})
Row = dict[str, Any]


class Known(NamedTuple):
    """A line that was taken before."""

    place: int
    mark: str
    step: int
    number: int


@dataclass(frozen=True, slots=True)
class Spot:
    """Where reading goes on in the file `identity`, behind the answer `number` of a step."""

    identity: int = 0
    offset: int = 0
    step: int = 0
    number: int = -1


@dataclass(frozen=True, slots=True)
class Part:
    """What was read. stale: lines known from this byte on are not so any more; None: all are."""

    stale: int | None
    rows: list[Row]
    end: Spot


class RolloutLines:
    """The lines of a file behind those that are known.

    known: those that were taken before, by ascending place. It is asked for when the file is
    another one.
    """

    def __init__(self, path: Path, known: Callable[[], Sequence[Known]]) -> None:
        self._path, self._known = path, known
        self._spot = Spot()

    def look(self) -> Part | None:
        """What is new, a part at a time; the same again until it is `taken`. None: nothing."""
        try:
            with self._path.open("rb") as file:
                return self._read(file)
        except FileNotFoundError:
            return None

    def taken(self, part: Part) -> None:
        """The part is where it belongs: look for what comes after it."""
        self._spot = part.end

    def _read(self, file: BinaryIO) -> Part | None:
        status = os.fstat(file.fileno())
        same = status.st_ino == self._spot.identity and status.st_size >= self._spot.offset
        stale, spot = (None, self._spot) if same else self._found(file, status.st_ino)
        file.seek(spot.offset)
        content = file.read(AT_A_TIME)
        length = content.rfind(b"\n") + 1
        if not length and len(content) == AT_A_TIME:
            length = len(content)
        if same and not length:
            return None
        rows, end = _rows(content[:length], spot)
        return Part(stale, rows, end)

    def _found(self, file: BinaryIO, identity: int) -> tuple[int | None, Spot]:
        """Where a file that was not read yet stops being what is known."""
        known = self._known()
        same = bisect_left(known, True, key=lambda line: _line_at(file, line) is None)
        stale = known[same].place if same < len(known) else None
        if not same:
            return stale, Spot(identity)
        last = known[same - 1]
        length = len(_line_at(file, last) or b"")
        return stale, Spot(identity, last.place + length, last.step, last.number)


def _line_at(file: BinaryIO, known: Known) -> bytes | None:
    """The line with its end; None if another one is there."""
    file.seek(known.place)
    line = file.readline(AT_A_TIME)
    return line if line.endswith(b"\n") and _mark(line) == known.mark else None


def _mark(line: bytes) -> str:
    return blake2b(line, digest_size=8).hexdigest()


def _rows(content: bytes, spot: Spot) -> tuple[list[Row], Spot]:
    """The answers in some whole lines that begin at the spot, and where they end."""
    rows, place, step, number = [], spot.offset, spot.step, spot.number
    for line in content.splitlines(keepends=True):
        row = _row(line)
        if row is not None and row["step"] >= step:  # steps never go back in one file
            number = number + 1 if row["step"] == step else 0
            step = row["step"]
            if number < ANSWERS_A_STEP:
                rows.append({**row, "number": number, "place": place, "mark": _mark(line)})
        place += len(line)
    return rows, Spot(spot.identity, place, step, number)


def _row(line: bytes) -> Row | None:
    """None for a line that a killed run left half-written, and for what is no answer."""
    try:
        values = orjson.loads(line)
        return shortened(
            {
                "step": _count(values["step"], least=1),
                "prompt": [_message(one) for one in values["prompt"]],
                "answer": _text(values["answer"]),
                "finished": bool(values["finished"]),
                "tokens": _count(values["tokens"]),
                "reward": _number(values["reward"]),
                "rewards": {
                    name[:NAME].replace("\0", ""): _number(value)
                    for name, value in list(values["rewards"].items())[:SOURCES]
                },
                "score": _number(values["score"]),
                "kl": _number(values["kl"]),
                "values": [_number(value) for value in values["values"]],
            }
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _count(value: Any, *, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= LARGEST:
        raise ValueError
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _message(value: Any) -> dict[str, str]:
    if value["role"] not in ROLES:
        raise ValueError
    return {"role": value["role"], "content": _text(value["content"])}
