"""What a snapshot is asked to hold."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self


class Aggregation(StrEnum):
    """What becomes of the rankings that several labelers gave of the same task."""

    EVERY = "every"
    MAJORITY = "majority"
    MEAN_RANK = "mean_rank"


class Weight(StrEnum):
    """What each labeler's ranking counts in training: 1, or its part of a task that counts 1."""

    RANKING = "ranking"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class SnapshotSpec:
    """Which rankings, and how they become rows. Empty lists choose everything.

    rounds: numbers. since, until: when a ranking was given, since ≤ t < until. labelers: user ids.
    minimum_overlap: chosen rankings that a task must have. flagged: keep tasks that somebody
    flagged. excluded_rounds, excluded_labelers: left out of what the others choose.
    """

    rounds: tuple[int, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    labelers: tuple[int, ...] = ()
    minimum_overlap: int = 1
    flagged: bool = False
    aggregation: Aggregation = Aggregation.EVERY
    weight: Weight = Weight.RANKING
    excluded_rounds: tuple[int, ...] = ()
    excluded_labelers: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON, the same for the same choice."""
        return {
            **asdict(self),
            "rounds": sorted(set(self.rounds)),
            "labelers": sorted(set(self.labelers)),
            "since": _written(self.since),
            "until": _written(self.until),
            "aggregation": str(self.aggregation),
            "weight": str(self.weight),
            "excluded_rounds": sorted(set(self.excluded_rounds)),
            "excluded_labelers": sorted(set(self.excluded_labelers)),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `as_dict`; of specs from before anything could be excluded, too."""
        return cls(
            rounds=tuple(values["rounds"]),
            since=_read(values["since"]),
            until=_read(values["until"]),
            labelers=tuple(values["labelers"]),
            minimum_overlap=values["minimum_overlap"],
            flagged=values["flagged"],
            aggregation=Aggregation(values["aggregation"]),
            weight=Weight(values["weight"]),
            excluded_rounds=tuple(values.get("excluded_rounds", ())),
            excluded_labelers=tuple(values.get("excluded_labelers", ())),
        )


def _written(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


def _read(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
