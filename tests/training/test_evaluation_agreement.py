import pytest

from tests.training.judging import group, ranking
from training.engine.evaluation.agreement import agreement
from training.engine.groups import Ranking

STRICT = ranking((0,), (1,), (2,))
TIED = ranking((0, 1), (2,))
OTHER = ranking((1,), (0,), (2,))


def test_agreement_worked_by_hand() -> None:
    # Second to first, 3 pairs each way: 0-1 is judged the other way round, two of three agree.
    found = agreement([group(0, 3, STRICT, OTHER)])

    assert found.ceiling is not None
    assert found.ceiling.value == pytest.approx(4 / 6)
    assert found.ceiling.count == 6
    assert found.reason is None


def test_a_tie_of_the_second_is_half_an_agreement_or_none() -> None:
    groups = [group(0, 3, STRICT, TIED)]

    # First STRICT: 0-1 tied by the second, two agree: 2.5 of 3. First TIED: two of two.
    half = agreement(groups).ceiling
    # First STRICT: two of two; first TIED: two of two.
    dropped = agreement(groups, ties="drop").ceiling

    assert half is not None
    assert dropped is not None
    assert half.value == pytest.approx(4.5 / 5)
    assert half.count == 5
    assert (dropped.value, dropped.count) == (1.0, 4)


def test_three_labelers_are_six_ordered_pairs_of_labelers() -> None:
    found = agreement([group(0, 3, STRICT, STRICT, OTHER)]).ceiling

    assert found is not None
    # Two equal ones: 6 of 6. Either with OTHER, both ways: 2 * 4 of 2 * 6.
    assert found.value == pytest.approx(14 / 18)
    assert found.count == 18


def test_only_what_both_judged_is_compared() -> None:
    found = agreement([group(0, 4, STRICT, Ranking(((3,), (0,)), ()), ranking((2,), (0,)))])

    # STRICT and (2 > 0) share one pair and disagree, both ways; 3 was seen by one only.
    assert found.ceiling is not None
    assert (found.ceiling.value, found.ceiling.count) == (0, 2)


def test_without_overlap_there_is_no_ceiling() -> None:
    alone = agreement([group(0, 3, STRICT), group(1, 3, OTHER)])
    apart = agreement([group(0, 4, ranking((0,), (1,)), ranking((2,), (3,)))])

    assert alone.ceiling is None
    assert alone.reason == "no prompt was judged by more than one labeler"
    assert apart.ceiling is None
    assert apart.reason == "no two labelers compared the same two completions strictly"


def test_many_prompts_have_a_bootstrap_interval() -> None:
    groups = [group(n, 3, STRICT, OTHER if n % 3 else STRICT) for n in range(60)]

    found = agreement(groups).ceiling

    # 40 groups at 2/3, 20 at 1: 7/9
    assert found is not None
    assert found.value == pytest.approx(7 / 9)
    assert found.method == "cluster_bootstrap"
    assert found.low is not None
    assert found.high is not None
    # standard error of the mean: (1/3) * sqrt(2/9) / sqrt(60) = 0.02029
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.02029, rel=0.1)
