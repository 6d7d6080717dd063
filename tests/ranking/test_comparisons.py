from itertools import combinations

from hypothesis import given

from annotate.ranking import Judgment, Pair, check, comparisons
from tests.ranking.judgments import judgments


def tier_of(judgment: Judgment) -> dict[int, int]:
    return {response: place for place, tier in enumerate(judgment.tiers) for response in tier}


def test_a_ranking_of_four_worked_by_hand() -> None:
    # 20 > 10 = 40 > 30, clearly and then slightly; 30 is unacceptable.
    judgment = Judgment(((20,), (40, 10), (30,)), frozenset({30}), (2, 1))

    assert comparisons(judgment) == [
        Pair(20, 40, False, 2, False, False),
        Pair(20, 10, False, 2, False, False),
        Pair(20, 30, False, 3, False, True),
        Pair(10, 40, True, 0, False, False),
        Pair(10, 30, False, 1, False, True),
        Pair(40, 30, False, 1, False, True),
    ]


def test_a_step_left_open_leaves_every_way_over_it_open() -> None:
    judgment = Judgment(((1,), (2,), (3,), (4,)), strengths=(1, None, 3))

    strengths = {(pair.winner, pair.loser): pair.strength for pair in comparisons(judgment)}

    assert strengths == {
        (1, 2): 1,
        (1, 3): None,
        (1, 4): None,
        (2, 3): None,
        (2, 4): None,
        (3, 4): 3,
    }


def test_everything_tied_and_nothing_acceptable() -> None:
    judgment = Judgment(((3, 1, 2),), frozenset({1, 2, 3}))

    assert comparisons(judgment) == [
        Pair(1, 2, True, 0, True, True),
        Pair(1, 3, True, 0, True, True),
        Pair(2, 3, True, 0, True, True),
    ]


@given(judgments())
def test_every_two_responses_are_compared_once(judgment: Judgment) -> None:
    ids = tier_of(judgment)
    compared = [frozenset({pair.winner, pair.loser}) for pair in comparisons(judgment)]

    assert len(compared) == len(ids) * (len(ids) - 1) // 2
    assert set(compared) == {frozenset(two) for two in combinations(ids, 2)}


@given(judgments())
def test_the_winner_stands_in_the_better_tier(judgment: Judgment) -> None:
    place = tier_of(judgment)
    for pair in comparisons(judgment):
        if pair.tie:
            assert place[pair.winner] == place[pair.loser]
            assert pair.winner < pair.loser
        else:
            assert place[pair.winner] < place[pair.loser]


@given(judgments())
def test_preferring_is_transitive_and_never_mutual(judgment: Judgment) -> None:
    wins = {(pair.winner, pair.loser) for pair in comparisons(judgment) if not pair.tie}
    assert not any((loser, winner) in wins for winner, loser in wins)
    for winner, middle in wins:
        assert all((winner, loser) in wins for other, loser in wins if other == middle)


@given(judgments())
def test_ties_are_transitive_and_exactly_of_strength_0(judgment: Judgment) -> None:
    pairs = comparisons(judgment)
    assert all((pair.strength == 0) == pair.tie for pair in pairs)
    tied = {frozenset({pair.winner, pair.loser}) for pair in pairs if pair.tie}
    for one, other in combinations(tied, 2):
        if len(one & other) == 1:
            assert one ^ other in tied


@given(judgments())
def test_a_longer_way_is_never_weaker(judgment: Judgment) -> None:
    strength = {(p.winner, p.loser): p.strength for p in comparisons(judgment) if not p.tie}
    for (winner, middle), first in strength.items():
        for (other, loser), second in strength.items():
            if other == middle:
                whole = strength[winner, loser]
                if first is None or second is None:
                    assert whole is None
                else:
                    assert whole == min(3, first + second)


@given(judgments())
def test_neighbours_keep_the_strength_that_was_said(judgment: Judgment) -> None:
    place = tier_of(judgment)
    for pair in comparisons(judgment):
        if place[pair.loser] - place[pair.winner] == 1:
            said = judgment.strengths[place[pair.winner]] if judgment.strengths else None
            assert pair.strength == said


@given(judgments())
def test_unacceptable_marks_are_carried_and_never_win_against_acceptable(
    judgment: Judgment,
) -> None:
    check(judgment, set(tier_of(judgment)))
    for pair in comparisons(judgment):
        assert pair.winner_unacceptable == (pair.winner in judgment.unacceptable)
        assert pair.loser_unacceptable == (pair.loser in judgment.unacceptable)
        assert pair.loser_unacceptable or not pair.winner_unacceptable


@given(judgments())
def test_the_order_inside_a_tier_says_nothing(judgment: Judgment) -> None:
    mirrored = Judgment(
        tuple(tier[::-1] for tier in judgment.tiers), judgment.unacceptable, judgment.strengths
    )
    assert set(comparisons(mirrored)) == set(comparisons(judgment))
