"""How far people agree with each other, and how often the others' majority is right of one of them.

Neither bounds what a model can reach. Two labelers who are each right with probability p agree with
p² + (1 - p)² < p, and a perfect model agrees with either of them with p. The majority of the others
stands on the same footing as a model: both are asked what one labeler said, whom they did not see.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from training.engine.evaluation.estimates import Estimate, proportion
from training.engine.groups import Group, Ranking

Ties = Literal["half", "drop"]
Places = dict[int, int]
# How often somebody said what a labeler did, how often they could have.
Tally = tuple[float, float]

ALONE = "no prompt was judged by more than one labeler"
APART = "no two labelers compared the same two completions strictly"
FEWER_THAN_THREE = "no prompt was judged by three labelers, so the others have no majority"


@dataclass(frozen=True, slots=True)
class Agreement:
    """pairwise: of a labeler with another one. others_majority_accuracy: of the majority of the
    other labelers, two or more, in telling what the one left out prefers. reason, others_reason:
    why there is none. ties: how a tie, of the second labeler or of the votes, counted.
    """

    pairwise: Estimate | None
    reason: str | None
    others_majority_accuracy: Estimate | None
    others_reason: str | None
    ties: Ties


def agreement(groups: Sequence[Group], *, ties: Ties = "half", seed: int = 0) -> Agreement:
    """Over the pairs that one labeler strictly prefers, every labeler of a group in turn.

    pairwise: the share of the others, each by itself, who prefer the same; only pairs that both
    judged. others_majority_accuracy: the share of pairs of which the majority of two others or more
    prefers the same; others that tie a pair abstain. A tie is half right ("half", as equal scores
    are for a model), or the pair is left out ("drop"). The rankings of a group are taken to be by
    different labelers.
    """
    several = [group.rankings for group in groups if len(group.rankings) > 1]
    pairwise = _share(several, _each_other, ties, seed)
    many = [rankings for rankings in several if len(rankings) > 2]
    majority = _share(many, _majority, ties, seed)
    reason = None if pairwise else APART if several else ALONE
    others = None if majority else APART if many else FEWER_THAN_THREE
    return Agreement(pairwise, reason, majority, others, ties)


Says = Callable[[int, list[int]], Iterator[float]]


def _share(
    groups: Sequence[Sequence[Ranking]], says: Says, ties: Ties, seed: int
) -> Estimate | None:
    if not groups:
        return None
    tallies = np.array([_tally(rankings, says, ties) for rankings in groups])
    return proportion(tallies[:, 0], tallies[:, 1], seed=seed)


def _tally(rankings: Sequence[Ranking], says: Says, ties: Ties) -> Tally:
    """Leaves each labeler out in turn, and asks for what the others say of their strict pairs."""
    right = asked = 0.0
    said = [_places(ranking) for ranking in rankings]
    for place, mine in enumerate(said):
        for own, others in _strict(mine, said[:place] + said[place + 1 :]):
            for one in says(own, others):
                if one == 0 and ties == "drop":
                    continue
                asked += 1
                right += 0.5 if one == 0 else float(one > 0)
    return right, asked


def _each_other(own: int, others: list[int]) -> Iterator[float]:
    """Above 0 for each who prefers the same, below for the opposite, 0 for a tie."""
    return (float(own * other) for other in others)


def _majority(own: int, others: list[int]) -> Iterator[float]:
    """The same of the others' majority; nothing where fewer than two of them judged the pair."""
    if len(others) > 1:
        yield float(own * sum(others))


def _strict(mine: Places, others: Sequence[Places]) -> Iterator[tuple[int, list[int]]]:
    """Of each pair that one strictly prefers: the sign of that, and the signs of who judged it."""
    for one, other in combinations(sorted(mine), 2):
        if mine[one] != mine[other]:
            judged = [them for them in others if one in them and other in them]
            yield _sign(mine, one, other), [_sign(them, one, other) for them in judged]


def _sign(places: Places, one: int, other: int) -> int:
    """1 where `one` stands above, -1 where below, 0 of a tie."""
    return (places[one] < places[other]) - (places[one] > places[other])


def _places(ranking: Ranking) -> Places:
    return {member: place for place, tier in enumerate(ranking.tiers) for member in tier}
