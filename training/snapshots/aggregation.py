"""Several labelers' judgments of one task as one.

Of both methods: a step between two tiers is as strong as the labelers said on average, of those
who said it of the completions on its two sides (a tie says 0, the opposite preference counts
negative), at least 1; nobody said, nothing is said. A completion is unacceptable when more than
half of the labelers say so and nothing acceptable stands level with it or below: what all labelers
find unacceptable as a whole stays so, and a mark that contradicts the order is dropped.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise, product

from annotate.ranking import MAX_STRENGTH, Judgment, comparisons
from training.snapshots.spec import Aggregation

Tiers = tuple[tuple[int, ...], ...]
# By (winner, loser): the strengths said, negative where it was preferred the other way round.
_Strengths = dict[tuple[int, int], list[int]]


def aggregate(judgments: Sequence[Judgment], how: Aggregation) -> Judgment:
    """One judgment of the same completions. Raises ValueError for EVERY, which joins nothing."""
    if how is Aggregation.EVERY:
        raise ValueError("every ranking stands for itself")
    tiers = _ORDERS[how](judgments)
    strengths = _strengths(judgments, tiers)
    return Judgment(tiers, _unacceptable(judgments, tiers), strengths)


def majority(judgments: Sequence[Judgment]) -> Tiers:
    """Tiers in which no completion stands below one that it beats by a majority.

    A completion reaches another if at least as many labelers prefer it as the other. Those that
    reach each other, through others too, share a tier: so do the two of an even vote, and all of a
    cycle. Every two reach at least one way, so the tiers have one order.
    """
    votes = Counter(
        (pair.winner, pair.loser)
        for judgment in judgments
        for pair in comparisons(judgment)
        if not pair.tie
    )
    ids = _completions(judgments)
    reach = {(one, other) for one in ids for other in ids if votes[one, other] >= votes[other, one]}
    for middle, one, other in product(ids, repeat=3):
        if (one, middle) in reach and (middle, other) in reach:
            reach.add((one, other))
    return _tiers(ids, lambda one: -sum((one, other) in reach for other in ids))


def mean_rank(judgments: Sequence[Judgment]) -> Tiers:
    """Tiers by the mean of the places; those tied in a judgment share the mean of theirs."""
    doubled: Counter[int] = Counter()
    for judgment in judgments:
        above = 0
        for tier in judgment.tiers:
            for completion in tier:
                doubled[completion] += 2 * above + len(tier) + 1
            above += len(tier)
    return _tiers(_completions(judgments), doubled.__getitem__)


_ORDERS: dict[Aggregation, Callable[[Sequence[Judgment]], Tiers]] = {
    Aggregation.MAJORITY: majority,
    Aggregation.MEAN_RANK: mean_rank,
}


def _completions(judgments: Sequence[Judgment]) -> list[int]:
    return sorted(completion for tier in judgments[0].tiers for completion in tier)


def _tiers(ids: Sequence[int], place: Callable[[int], int]) -> Tiers:
    """Equal places share a tier, smaller ones stand first."""
    found = defaultdict(list)
    for one in ids:
        found[place(one)].append(one)
    return tuple(tuple(found[key]) for key in sorted(found))


def _strengths(judgments: Sequence[Judgment], tiers: Tiers) -> tuple[int | None, ...]:
    said: _Strengths = defaultdict(list)
    for judgment in judgments:
        for pair in comparisons(judgment):
            if pair.strength is not None:
                said[pair.winner, pair.loser].append(pair.strength)
                said[pair.loser, pair.winner].append(-pair.strength)
    steps = tuple(
        _mean([strength for pair in product(upper, lower) for strength in said[pair]])
        for upper, lower in pairwise(tiers)
    )
    return steps if any(step is not None for step in steps) else ()


def _mean(strengths: Sequence[int]) -> int | None:
    """Rounded, a half up. Ties alone say nothing of how strong a preference is."""
    if not any(strengths):
        return None
    rounded = (2 * sum(strengths) + len(strengths)) // (2 * len(strengths))
    return max(1, min(MAX_STRENGTH, rounded))


def _unacceptable(judgments: Sequence[Judgment], tiers: Tiers) -> frozenset[int]:
    marks = Counter(completion for judgment in judgments for completion in judgment.unacceptable)
    bad: set[int] = set()
    for tier in reversed(tiers):
        if not all(2 * marks[completion] > len(judgments) for completion in tier):
            break
        bad.update(tier)
    return frozenset(bad)


def agreement(judgments: Sequence[Judgment]) -> tuple[int, int]:
    """Of every two labelers and every two completions that both order: how often alike, of all."""
    alike = compared = 0
    places = [
        {completion: place for place, tier in enumerate(judgment.tiers) for completion in tier}
        for judgment in judgments
    ]
    for first, second in combinations(places, 2):
        for one, other in combinations(first, 2):
            ours, theirs = first[one] - first[other], second[one] - second[other]
            if ours and theirs:
                compared += 1
                alike += (ours < 0) == (theirs < 0)
    return alike, compared
