"""What was left out of the data or shortened, what was read past, and why."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

EXAMPLES = 5
# Columns that a warning names; data_report.json has them all.
NAMED = 8
# Columns that are counted by their names; some files have a key of its own in every row.
COLUMNS = 1000
OTHERS = "other columns"
ROUGHLY_NONE = 0.001

# What a reason counts. prompts: what was asked, one a row, or one an assistant's turn of a
# demonstration. groups: tasks with all their rows.
Unit = Literal["rows", "prompts", "completions", "pairs", "groups"]


class Refused(ValueError):
    """Something in a row that cannot be used.

    reason: the same words for every such row, so that they can be counted. detail: what it was.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Dropped:
    """How often something was left out for a reason. examples: "file:line" and what it was.

    of: how many there were of the unit.
    """

    reason: str
    count: int
    examples: tuple[str, ...]
    unit: Unit = "rows"
    of: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "reason": self.reason,
            "count": self.count,
            "unit": self.unit,
            "of": self.of,
            "share": _share(self.count, self.of),
            "examples": list(self.examples),
        }


@dataclass(frozen=True, slots=True)
class Shortened:
    """Prompts that lost their oldest turns. turns: how many they lost, all together."""

    count: int = 0
    of: int = 0
    turns: int = 0

    def to_json(self) -> dict[str, Any]:
        share = _share(self.count, self.of)
        return {"count": self.count, "of": self.of, "share": share, "turns": self.turns}


@dataclass(frozen=True, slots=True)
class Unread:
    """A column, or a key of messages, that was read past. count: of rows where it says something.

    expected: Prefloop itself writes it about a row, and no training needs it.
    """

    column: str
    count: int
    expected: bool = False


@dataclass(frozen=True, slots=True)
class DropReport:
    """rows: lines that hold something. dropped and unread: most frequent first."""

    rows: int
    dropped: tuple[Dropped, ...]
    shortened: Shortened = Shortened()
    unread: tuple[Unread, ...] = ()

    def count(self, reason: str) -> int:
        return sum(one.count for one in self.dropped if one.reason == reason)

    def to_json(self) -> dict[str, Any]:
        """As it is saved in data_report.json; shares are of 1, of what the unit names."""
        return {
            "rows": self.rows,
            "dropped": [one.to_json() for one in self.dropped],
            "prompts_shortened": self.shortened.to_json(),
            "unread_columns": [
                {
                    "column": one.column,
                    "count": one.count,
                    "of": self.rows,
                    "share": _share(one.count, self.rows),
                    "expected": one.expected,
                }
                for one in self.unread
            ],
        }

    def warning(self) -> str:
        """All that was left out, shortened or read past, in one line; "" when nothing was."""
        said = [
            f"{_of(one.count, one.of or self.rows, one.unit)} left out ({one.reason})"
            for one in self.dropped
        ]
        if short := self.shortened.count:
            turns = self.shortened.turns
            said.append(
                f"{_of(short, self.shortened.of, 'prompts')} without their oldest turns "
                f"({turns:,} turn{'' if turns == 1 else 's'}), for being over "
                "data.max_prompt_tokens"
            )
        if news := [one for one in self.unread if not one.expected]:
            names = [
                f"{one.column} ({one.count:,} row{'' if one.count == 1 else 's'})"
                for one in news[:NAMED]
            ]
            names += [f"{len(news) - NAMED} more"] if len(news) > NAMED else []
            said.append(f"not read: {', '.join(names)}")
        if not said:
            return ""
        rows = f"{self.rows:,} row{'' if self.rows == 1 else 's'}"
        return f"Of the data ({rows}): {'; '.join(said)}. See data_report.json."


class Drops:
    """A DropReport in the making.

    counted: how many there were of each unit.
    """

    def __init__(self) -> None:
        self.counted: Counter[Unit] = Counter()
        self._dropped: Counter[tuple[str, Unit]] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._shortened = 0
        self._turns = 0
        self._unread: Counter[tuple[str, bool]] = Counter()

    def add(self, where: str, reason: str, detail: str = "", *, unit: Unit = "rows") -> None:
        """where: "file:line"."""
        self._dropped[reason, unit] += 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append(f"{where} ({detail})" if detail else where)

    def refuse(self, where: str, refused: Refused, *, unit: Unit = "rows") -> None:
        self.add(where, refused.reason, refused.detail, unit=unit)

    def shortened(self, turns: int) -> None:
        """A prompt lost its oldest turns."""
        self._shortened += 1
        self._turns += turns

    def unread(self, names: Iterable[str], expected: frozenset[str]) -> None:
        """Columns of a row that say something and were not read."""
        for name in names:
            key = name, name in expected
            full = key not in self._unread and len(self._unread) >= COLUMNS
            self._unread[(OTHERS, False) if full else key] += 1

    def report(self) -> DropReport:
        dropped = sorted(self._dropped.items(), key=lambda one: (-one[1], one[0]))
        unread = sorted(self._unread.items(), key=lambda one: (-one[1], one[0]))
        return DropReport(
            self.counted["rows"],
            tuple(
                Dropped(reason, count, tuple(self._examples[reason]), unit, self.counted[unit])
                for (reason, unit), count in dropped
            ),
            Shortened(self._shortened, self.counted["prompts"], self._turns),
            tuple(Unread(name, count, expected) for (name, expected), count in unread),
        )


def _share(count: int, of: int) -> float:
    return round(count / of, 6) if of else 0.0


def _of(count: int, of: int, unit: Unit) -> str:
    """ "12 of 100 rows (12.0%)"; "1 of 9,000 rows (less than 0.1%)"."""
    share = _share(count, of)
    percent = "less than 0.1%" if share < ROUGHLY_NONE else f"{share:.1%}"
    return f"{count:,} of {of:,} {unit} ({percent})"
