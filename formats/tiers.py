"""Rankings in which some completions are alike: the same answer has one place.

A ranking is tiers of completions, best first, the strengths of the steps between neighbouring
tiers, and the completions that are marked unacceptable. Completions are named by numbers. `same`
is of each the first one that is alike, its own number where there is none.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

LARGEST_STRENGTH = 3
Step = int | None


class Placed(NamedTuple):
    """strengths: one less than there are tiers, None where not said; () when none was said."""

    tiers: tuple[tuple[int, ...], ...]
    strengths: tuple[Step, ...]
    unacceptable: frozenset[int]


def tied(
    tiers: Sequence[Sequence[int]],
    strengths: Sequence[Step],
    unacceptable: Collection[int],
    same: Mapping[int, int],
) -> Placed:
    """The ranking with alike completions in one tier, that of the best placed of them.

    They are unacceptable if all of them are marked. A tier that is left empty goes, and the step
    over it is the sum of both steps, at most 3, as it is between tiers that are farther apart.
    """
    best: dict[int, int] = {}
    for place, tier in enumerate(tiers):
        for one in tier:
            best.setdefault(same[one], place)
    joined: list[list[int]] = [[] for _ in tiers]
    for tier in tiers:
        for one in tier:
            joined[best[same[one]]].append(one)
    left = [place for place, tier in enumerate(joined) if tier]
    steps = [_over(strengths[upper:lower]) for upper, lower in pairwise(left)] if strengths else []
    fine = {same[one] for one in same if one not in unacceptable}
    return Placed(
        tuple(tuple(joined[place]) for place in left),
        tuple(steps),
        frozenset(one for one in unacceptable if same[one] not in fine),
    )


def ordered_alike(tiers: Sequence[Sequence[int]], same: Mapping[int, int]) -> int:
    """How many pairs of alike completions stand in different tiers: no preference can be meant."""
    return sum(
        same[one] == same[other]
        for upper, lower in combinations(tiers, 2)
        for one in upper
        for other in lower
    )


def _over(steps: Sequence[Step]) -> Step:
    said = [step for step in steps if step is not None]
    return min(LARGEST_STRENGTH, sum(said)) if len(said) == len(steps) else None
