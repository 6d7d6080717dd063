"""The comparisons that a ranking implies."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from training.engine.data.examples import Said
from training.engine.groups import Pair, Ranking

MAX_STRENGTH = 3


class Comparison(NamedTuple):
    """One comparison of two completions, by position.

    strength: 1 to 3, None when a step between the two was left open, 0 exactly when tied. Of a
    tie, `winner` is the lower position.
    """

    winner: int
    loser: int
    tie: bool
    strength: int | None
    winner_unacceptable: bool
    loser_unacceptable: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """Which comparisons a method learns from.

    ties: "soft" gives a tie the target 0.5, "drop" leaves it out. unacceptable: "drop_winners"
    leaves out what has an unacceptable winner, and ties with an unacceptable member. margins:
    whether a pair asks for the margin of its strength (Llama 2, eq. 2: 3 significantly, 2 clearly,
    1 slightly, 0 when it was not said). single: whether it learns from single completions, to
    which a ranking without a comparison may say something too.
    """

    ties: Literal["soft", "drop"]
    unacceptable: Literal["keep", "drop_winners"]
    margins: bool
    single: bool = False


def comparisons(
    tiers: Sequence[Sequence[int]],
    strengths: Sequence[int | None] = (),
    unacceptable: Collection[int] = (),
) -> Iterator[Comparison]:
    """All K(K-1)/2 comparisons of K completions in tiers, best first, best winners first.

    strengths: of the steps between the tiers; () means that none was said. Across several tiers
    the strength is the sum of the steps between, at most 3: two slight steps make a clear one.
    """
    steps = strengths or (None,) * (len(tiers) - 1)
    bad = unacceptable
    for upper, tier in enumerate(tiers):
        tied = sorted(tier)
        for position, winner in enumerate(tied):
            for loser in tied[position + 1 :]:
                yield Comparison(winner, loser, True, 0, winner in bad, loser in bad)
            strength: int | None = 0
            for lower in range(upper + 1, len(tiers)):
                strength = _stronger(strength, steps[lower - 1])
                for loser in tiers[lower]:
                    yield Comparison(winner, loser, False, strength, winner in bad, loser in bad)


def _stronger(strength: int | None, step: int | None) -> int | None:
    return None if strength is None or step is None else min(MAX_STRENGTH, strength + step)


def ranking(said: Said, places: dict[int, int], choice: Choice) -> Ranking | None:
    """What was said as a ranking of the completions that are left; None if it says nothing.

    places: of each completion that is left, its old position and its new one. Strengths are those
    of the whole ranking: a dropped completion takes no step away.
    """
    pairs = tuple(
        Pair(
            places[one.winner],
            places[one.loser],
            0.5 if one.tie else 1.0,
            _margin(one, said) if choice.margins else 0.0,
        )
        for one in comparisons(said.tiers, said.strengths, said.unacceptable)
        if one.winner in places
        and one.loser in places
        and said.preferred(one.winner, one.loser)
        and _wanted(one, choice)
    )
    if not (pairs or choice.single):
        return None
    dropping = choice.unacceptable == "drop_winners"
    left = (
        tuple(places[one] for one in tier if one in places)
        for tier in (_joined(said) if dropping else said.tiers)
    )
    bad = frozenset(places[one] for one in said.unacceptable if one in places)
    return Ranking(
        tuple(tier for tier in left if tier),
        pairs,
        said.weight,
        unacceptable=bad,
        barred=bad if dropping else frozenset(),
    )


def _wanted(one: Comparison, choice: Choice) -> bool:
    if one.tie and choice.ties == "drop":
        return False
    won_by_bad = one.winner_unacceptable or (one.tie and one.loser_unacceptable)
    return not (won_by_bad and choice.unacceptable == "drop_winners")


def _margin(one: Comparison, said: Said) -> float:
    if said.margin is not None and not one.tie:
        return said.margin
    return float(one.strength or 0)


def _joined(said: Said) -> tuple[tuple[int, ...], ...]:
    """The tiers with those at the end that are unacceptable as a whole as one.

    Between them nobody wins. Files may have unacceptable completions in other tiers too, which a
    listwise loss leaves unchosen by Ranking.barred.
    """
    tiers = list(said.tiers)
    last: tuple[int, ...] = ()
    while tiers and said.unacceptable.issuperset(tiers[-1]):
        last = tiers.pop() + last
    return (*tiers, last) if last else tuple(tiers)
