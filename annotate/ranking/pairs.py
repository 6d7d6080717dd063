"""The comparisons that a ranking implies."""

from typing import NamedTuple

from annotate.ranking.judgment import Judgment

MAX_STRENGTH = 3


class Pair(NamedTuple):
    """One comparison of two completions.

    strength: 1 to 3, None when a step between the two was left open, 0 exactly when tied.
    Of a tie, `winner` is the lower id: two labelers who tie the same two give the same pair.
    """

    winner: int
    loser: int
    tie: bool
    strength: int | None
    winner_unacceptable: bool
    loser_unacceptable: bool


def comparisons(judgment: Judgment) -> list[Pair]:
    """All K(K-1)/2 pairs of a judgment that `check` accepted, best winners first.

    Across several tiers the strength is the sum of the steps between, at most 3: two slight steps
    make a clear one. That keeps it monotone: over a longer way it is never weaker.
    """
    tiers, bad = judgment.tiers, judgment.unacceptable
    steps = judgment.strengths or (None,) * (len(tiers) - 1)
    pairs: list[Pair] = []
    for upper, tier in enumerate(tiers):
        tied = sorted(tier)
        for position, winner in enumerate(tied):
            winner_bad = winner in bad
            for loser in tied[position + 1 :]:
                pairs.append(Pair(winner, loser, True, 0, winner_bad, loser in bad))
            strength: int | None = 0
            for lower in range(upper + 1, len(tiers)):
                strength = _stronger(strength, steps[lower - 1])
                for loser in tiers[lower]:
                    pairs.append(Pair(winner, loser, False, strength, winner_bad, loser in bad))
    return pairs


def _stronger(strength: int | None, step: int | None) -> int | None:
    return None if strength is None or step is None else min(MAX_STRENGTH, strength + step)
