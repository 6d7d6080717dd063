"""The learning curve: what accuracy a part of the data would have given.

Whether the last quarter of the labels still helped tells whether more labels will.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training.engine.evaluation.estimates import Estimate
from training.engine.groups import Group

FRACTIONS = (0.12, 0.25, 0.5, 1.0)

TrainAndMeasure = Callable[[Sequence[Group]], Estimate | None]


@dataclass(frozen=True, slots=True)
class Subset:
    """The groups that a share of the data comes to."""

    fraction: float
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """Accuracy on the held-out data after training on `groups` groups, a `fraction` of all."""

    fraction: float
    groups: int
    pairs: int
    accuracy: Estimate | None


def subsets(
    groups: Sequence[Group], fractions: Sequence[float] = FRACTIONS, *, seed: int = 0
) -> list[Subset]:
    """Nested subsets: each holds all of the smaller ones.

    Groups are taken in the order of a hash of the seed and their key, whatever order they come in.
    Raises ValueError for fractions that do not rise up to at most 1, for keys given twice, and when
    two subsets would have the same size.
    """
    if list(fractions) != sorted(set(fractions)) or not all(0 < one <= 1 for one in fractions):
        raise ValueError("the fractions of a learning curve rise, above 0 and up to 1")
    if len({group.key for group in groups}) != len(groups):
        raise ValueError("every group needs a key of its own to be drawn by")
    drawn = sorted(groups, key=lambda group: _hash(seed, group.key))
    sizes = [max(1, round(fraction * len(groups))) for fraction in fractions]
    if not groups or len(set(sizes)) != len(sizes):
        raise ValueError(f"{len(groups)} groups are too few for a learning curve")
    chosen = zip(fractions, sizes, strict=True)
    return [Subset(fraction, tuple(drawn[:size])) for fraction, size in chosen]


def learning_curve(parts: Sequence[Subset], train: TrainAndMeasure) -> tuple[Point, ...]:
    """Train on each subset and measure it; train: from the groups to accuracy on held-out data.

    Each training starts afresh, with the settings of the run.
    """
    return tuple(
        Point(part.fraction, len(part.groups), _pairs(part), train(part.groups)) for part in parts
    )


def _pairs(part: Subset) -> int:
    return sum(len(ranking.pairs) for group in part.groups for ranking in group.rankings)


def _hash(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()
