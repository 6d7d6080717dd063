from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.ranking import Judgment, check
from tests.ranking.judgments import judgments
from training.snapshots.aggregation import aggregate, agreement, majority, mean_rank
from training.snapshots.spec import Aggregation

JOINING = st.sampled_from([Aggregation.MAJORITY, Aggregation.MEAN_RANK])


@st.composite
def several(draw: st.DrawFn) -> list[Judgment]:
    """One to five labelers' judgments of the same answers."""
    first = draw(judgments())
    ids = [one for tier in first.tiers for one in tier]
    found = [first]
    for _ in range(draw(st.integers(0, 4))):
        other = draw(judgments().filter(lambda each: _size(each) >= len(ids)))
        names = iter(draw(st.permutations(ids)))
        renamed = {old: next(names, 0) for tier in other.tiers for old in tier}
        tiers = [tuple(renamed[one] for one in tier if renamed[one]) for tier in other.tiers]
        kept = tuple(tier for tier in tiers if tier)
        bad = frozenset(renamed[one] for one in other.unacceptable if renamed[one])
        found.append(Judgment(kept, bad, (1,) * (len(kept) - 1)))
    return found


def _size(judgment: Judgment) -> int:
    return sum(map(len, judgment.tiers))


def judgment(*tiers: Sequence[int], strengths: tuple[int | None, ...] = ()) -> Judgment:
    return Judgment(tuple(map(tuple, tiers)), strengths=strengths)


def test_a_majority_worked_by_hand() -> None:
    # 10 over 20: 2 to 1. 20 over 30: 2 to 0 with a tie. 10 over 30: 2 to 1. 40 is last for all.
    said = [
        judgment([10], [20], [30], [40]),
        judgment([10], [20, 30], [40]),
        judgment([20], [30], [10], [40]),
    ]
    assert majority(said) == ((10,), (20,), (30,), (40,))


def test_an_even_vote_and_a_circle_are_ties() -> None:
    assert majority([judgment([1], [2]), judgment([2], [1])]) == ((1, 2),)
    circle = [
        judgment([1], [2], [3], [4]),
        judgment([2], [3], [1], [4]),
        judgment([3], [1], [2], [4]),
    ]
    assert majority(circle) == ((1, 2, 3), (4,))


def test_mean_ranks_worked_by_hand() -> None:
    # Places: 10: 1, 1, 3; 20: 2, 2.5, 1; 30: 3, 2.5, 2; 40: 4, 4, 4.
    said = [
        judgment([10], [20], [30], [40]),
        judgment([10], [20, 30], [40]),
        judgment([20], [30], [10], [40]),
    ]
    assert mean_rank(said) == ((10,), (20,), (30,), (40,))
    assert mean_rank([judgment([1], [2], [3]), judgment([3], [1, 2])]) == ((1,), (3,), (2,))


def test_methods_differ_where_one_labeler_is_far_off() -> None:
    said = [judgment([1], [2], [3], [4])] * 2 + [judgment([2], [3], [4], [1])]
    assert majority(said)[0] == (1,)
    assert mean_rank(said)[0] == (2,)


def test_strengths_are_the_mean_of_those_said() -> None:
    said = [
        judgment([1], [2], strengths=(3,)),
        judgment([1], [2], strengths=(2,)),
        judgment([2], [1], strengths=(1,)),  # counts -1: (3 + 2 - 1) / 3 = 1.3
    ]
    assert aggregate(said, Aggregation.MAJORITY) == judgment([1], [2], strengths=(1,))
    assert aggregate(said[:2], Aggregation.MAJORITY).strengths == (3,)  # 2.5 is rounded up
    unsaid = [judgment([1], [2]), judgment([1], [2], strengths=(None,)), judgment([1, 2])]
    assert aggregate(unsaid, Aggregation.MAJORITY).strengths == ()


def test_a_mark_needs_more_than_half_and_must_not_contradict_the_order() -> None:
    bad = Judgment(((1,), (2,)), frozenset({2}))
    fine = judgment([1], [2])
    assert aggregate([bad, fine], Aggregation.MAJORITY).unacceptable == frozenset()
    assert aggregate([bad, bad, fine], Aggregation.MAJORITY).unacceptable == {2}
    # 1 is above 2 for two of three and bad for two of three, 2 is bad for one only.
    said = [Judgment(((1,), (2,)), frozenset({1, 2})), Judgment(((2,), (1,)), frozenset({1})), fine]
    joined = aggregate(said, Aggregation.MAJORITY)
    assert (joined.tiers, joined.unacceptable) == (((1,), (2,)), frozenset())


def test_all_bad_stays_all_bad() -> None:
    worthless = Judgment(((1,), (2, 3)), frozenset({1, 2, 3}))
    joined = aggregate([worthless, worthless, judgment([3], [2], [1])], Aggregation.MEAN_RANK)
    assert joined.unacceptable == {1, 2, 3}


def test_every_ranking_is_not_joined() -> None:
    with pytest.raises(ValueError, match="for itself"):
        aggregate([judgment([1], [2])], Aggregation.EVERY)


@given(judgments(), st.integers(1, 4), JOINING)
def test_who_agrees_is_taken_at_their_word(one: Judgment, times: int, how: Aggregation) -> None:
    joined = aggregate([one] * times, how)
    assert [set(tier) for tier in joined.tiers] == [set(tier) for tier in one.tiers]
    assert joined.unacceptable == one.unacceptable
    said = one.strengths if any(one.strengths) else ()
    assert joined.strengths == said


@given(several(), JOINING)
def test_the_result_could_be_a_labelers(said: list[Judgment], how: Aggregation) -> None:
    joined = aggregate(said, how)
    check(joined, [one for tier in said[0].tiers for one in tier])


@given(several(), JOINING)
def test_the_order_of_the_labelers_does_not_matter(said: list[Judgment], how: Aggregation) -> None:
    assert aggregate(said[::-1], how) == aggregate(said, how)


@given(several())
def test_a_majority_is_never_contradicted(said: list[Judgment]) -> None:
    place = _places(Judgment(majority(said)))
    theirs = [_places(one) for one in said]
    for one, other in combinations(place, 2):
        lead = sum((each[one] < each[other]) - (each[one] > each[other]) for each in theirs)
        if lead > 0:
            assert place[one] <= place[other]
        if lead < 0:
            assert place[one] >= place[other]


@given(several())
def test_what_all_prefer_has_the_better_mean_rank(said: list[Judgment]) -> None:
    place = _places(Judgment(mean_rank(said)))
    theirs = [_places(one) for one in said]
    for one, other in combinations(place, 2):
        if all(each[one] < each[other] for each in theirs):
            assert place[one] < place[other]


def test_agreement_counts_pairs_that_both_ordered() -> None:
    said = [judgment([1], [2], [3]), judgment([2], [1], [3]), judgment([1, 2], [3])]
    # First and second: 12 not, 13 and 23 alike. With the third: 13 and 23 alike, each twice.
    assert agreement(said) == (6, 7)
    assert agreement(said[:1]) == (0, 0)


def _places(one: Judgment) -> dict[int, int]:
    return {answer: place for place, tier in enumerate(one.tiers) for answer in tier}
