"""How far people agree with each other: no model's accuracy is to be expected above that."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal

import numpy as np

from training.engine.evaluation.estimates import Estimate, proportion
from training.engine.groups import Group, Ranking

Ties = Literal["half", "drop"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """The ceiling, or why there is none. ties: how a second labeler's tie counted."""

    ceiling: Estimate | None
    reason: str | None
    ties: Ties


def agreement(groups: Sequence[Group], *, ties: Ties = "half", seed: int = 0) -> Agreement:
    """Probability that a second labeler prefers what a first one strictly prefers.

    Every ordered two of a group's rankings counts, on the pairs that both judged. A tie of the
    second one is half an agreement ("half", as equal scores are for a model), or the pair is left
    out ("drop"). The rankings of a group are taken to be by different labelers.
    """
    several = [group for group in groups if len(group.rankings) > 1]
    if not several:
        return Agreement(None, "no prompt was judged by more than one labeler", ties)
    tallies = np.array([_tally(group.rankings, ties) for group in several])
    ceiling = proportion(tallies[:, 0], tallies[:, 1], seed=seed)
    if ceiling is None:
        return Agreement(None, "no two labelers compared the same two completions strictly", ties)
    return Agreement(ceiling, None, ties)


def _tally(rankings: Iterable[Ranking], ties: Ties) -> tuple[float, float]:
    """How often a second labeler agreed, and how often they could have."""
    agreed = compared = 0.0
    for first, second in permutations([_places(ranking) for ranking in rankings], 2):
        for ours, theirs in _strict(first, second):
            if theirs == 0 and ties == "drop":
                continue
            compared += 1
            agreed += 0.5 if theirs == 0 else float((ours < 0) == (theirs < 0))
    return agreed, compared


def _strict(first: dict[int, int], second: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Of each pair that both judged and the first one strictly: the steps between, in both."""
    for one, other in combinations(sorted(first.keys() & second.keys()), 2):
        if first[one] != first[other]:
            yield first[one] - first[other], second[one] - second[other]


def _places(ranking: Ranking) -> dict[int, int]:
    return {member: place for place, tier in enumerate(ranking.tiers) for member in tier}
