"""What was left out of the data, and why."""

from dataclasses import dataclass
from typing import Any

EXAMPLES = 5


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
    """How often something was left out for a reason. examples: "file:line" and what it was."""

    reason: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DropReport:
    """rows: lines that hold something. dropped: most frequent first.

    A reason says what it counts: rows where it names nothing else. cut_prompts: distinct prompts
    of which only the end is used.
    """

    rows: int
    dropped: tuple[Dropped, ...]
    cut_prompts: int = 0

    def count(self, reason: str) -> int:
        return sum(one.count for one in self.dropped if one.reason == reason)

    def to_json(self) -> dict[str, Any]:
        """As it is saved in data_report.json."""
        return {
            "rows": self.rows,
            "cut_prompts": self.cut_prompts,
            "dropped": [
                {"reason": one.reason, "count": one.count, "examples": list(one.examples)}
                for one in self.dropped
            ],
        }

    def warning(self) -> str:
        """One line for a person who watches; "" when nothing was left out.

        A reason may count completions or groups, so the sum is of no one thing.
        """
        if not self.dropped:
            return ""
        often = self.dropped[0]
        times = sum(one.count for one in self.dropped)
        return (
            f"Of {self.rows:,} rows, something was left out {times:,} times, most often "
            f"({often.count:,}): {often.reason}; see data_report.json."
        )


class Drops:
    """A DropReport in the making."""

    def __init__(self) -> None:
        self.rows = 0
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, where: str, reason: str, detail: str = "") -> None:
        """where: "file:line"."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append(f"{where} ({detail})" if detail else where)

    def refuse(self, where: str, refused: Refused) -> None:
        self.add(where, refused.reason, refused.detail)

    def report(self, *, cut_prompts: int = 0) -> DropReport:
        by_count = sorted(self._counts.items(), key=lambda one: (-one[1], one[0]))
        return DropReport(
            self.rows,
            tuple(
                Dropped(reason, count, tuple(self._examples[reason])) for reason, count in by_count
            ),
            cut_prompts,
        )
