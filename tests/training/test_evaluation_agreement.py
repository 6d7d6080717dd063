from itertools import combinations

import numpy as np
import pytest

from tests.training.judging import group, ranking
from training.engine.evaluation.agreement import agreement
from training.engine.groups import Ranking

STRICT = ranking((0,), (1,), (2,))
TIED = ranking((0, 1), (2,))
OTHER = ranking((1,), (0,), (2,))
FIRST, SECOND = ranking((0,), (1,)), ranking((1,), (0,))


def test_agreement_worked_by_hand() -> None:
    # Second to first, 3 pairs each way: 0-1 is judged the other way round, two of three agree.
    found = agreement([group(0, 3, STRICT, OTHER)])

    assert found.pairwise is not None
    assert found.pairwise.value == pytest.approx(4 / 6)
    assert found.pairwise.count == 6
    assert found.reason is None


def test_a_tie_of_the_second_is_half_an_agreement_or_none() -> None:
    groups = [group(0, 3, STRICT, TIED)]

    # First STRICT: 0-1 tied by the second, two agree: 2.5 of 3. First TIED: two of two.
    half = agreement(groups).pairwise
    # First STRICT: two of two; first TIED: two of two.
    dropped = agreement(groups, ties="drop").pairwise

    assert half is not None
    assert dropped is not None
    assert half.value == pytest.approx(4.5 / 5)
    assert half.count == 5
    assert (dropped.value, dropped.count) == (1.0, 4)


def test_three_labelers_are_six_ordered_pairs_of_labelers() -> None:
    found = agreement([group(0, 3, STRICT, STRICT, OTHER)]).pairwise

    assert found is not None
    # Two equal ones: 6 of 6. Either with OTHER, both ways: 2 * 4 of 2 * 6.
    assert found.value == pytest.approx(14 / 18)
    assert found.count == 18


def test_only_what_both_judged_is_compared() -> None:
    found = agreement([group(0, 4, STRICT, Ranking(((3,), (0,)), ()), ranking((2,), (0,)))])

    # STRICT and (2 > 0) share one pair and disagree, both ways; 3 was seen by one only.
    assert found.pairwise is not None
    assert (found.pairwise.value, found.pairwise.count) == (0, 2)


def test_without_overlap_there_is_none() -> None:
    alone = agreement([group(0, 3, STRICT), group(1, 3, OTHER)])
    apart = agreement([group(0, 4, ranking((0,), (1,)), ranking((2,), (3,)))])

    assert alone.pairwise is None
    assert alone.reason == "no prompt was judged by more than one labeler"
    assert apart.pairwise is None
    assert apart.reason == "no two labelers compared the same two completions strictly"


def test_many_prompts_have_a_bootstrap_interval() -> None:
    groups = [group(n, 3, STRICT, OTHER if n % 3 else STRICT) for n in range(60)]

    found = agreement(groups).pairwise

    # 40 groups at 2/3, 20 at 1: 7/9
    assert found is not None
    assert found.value == pytest.approx(7 / 9)
    assert found.method == "cluster_bootstrap"
    assert found.low is not None
    assert found.high is not None
    # standard error of the mean: (1/3) * sqrt(2/9) / sqrt(60) = 0.02029
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.02029, rel=0.1)


@pytest.mark.parametrize(("right", "labelers"), [(0.8, 3), (0.8, 5), (0.65, 4)])
def test_labelers_of_known_accuracy(right: float, labelers: int) -> None:
    """Simulated: each prefers the better of two completions with probability p, by itself.

    Closed forms: two agree with
    p² + (1 - p)²; the majority of the others is right with m, and tells what a labeler said with
    m p + (1 - m)(1 - p). A perfect model tells it with p, above either.
    """
    rng = np.random.default_rng(5)
    groups = [
        group(n, 2, *(FIRST if said else SECOND for said in rng.random(labelers) < right))
        for n in range(4_000)
    ]

    found = agreement(groups)

    others = labelers - 1
    majority = 0.0
    for many in range(others + 1):
        ways = len(list(combinations(range(others), many)))
        chance = ways * right**many * (1 - right) ** (others - many)
        majority += chance * (1.0 if 2 * many > others else 0.5 if 2 * many == others else 0.0)
    assert found.pairwise is not None
    assert found.others_majority_accuracy is not None
    told = majority * right + (1 - majority) * (1 - right)
    assert found.pairwise.value == pytest.approx(right**2 + (1 - right) ** 2, abs=0.02)
    assert found.others_majority_accuracy.value == pytest.approx(told, abs=0.02)
    assert found.pairwise.value < found.others_majority_accuracy.value + 0.01 < right
    assert found.others_majority_accuracy.count == 4_000 * labelers
    low, high = found.others_majority_accuracy.low, found.others_majority_accuracy.high
    assert low is not None
    assert high is not None
    assert low < found.others_majority_accuracy.value < high


def test_the_majority_of_the_others_by_hand() -> None:
    """STRICT twice, OTHER, TIED. Others' votes on 0-1, of which TIED says nothing strictly:

    left out STRICT (twice): one more STRICT, OTHER, TIED: 1 to 1, half; left out OTHER: 2 to 0
    against it, wrong. On 0-2 and 1-2 all are right: two pairs of each of four.
    """
    found = agreement([group(0, 3, STRICT, STRICT, OTHER, TIED)])
    dropped = agreement([group(0, 3, STRICT, STRICT, OTHER, TIED)], ties="drop")

    assert found.others_majority_accuracy is not None
    assert found.others_majority_accuracy.value == pytest.approx((0.5 + 0.5 + 0 + 8) / 11)
    assert found.others_majority_accuracy.count == 11
    assert found.others_reason is None
    assert dropped.others_majority_accuracy is not None
    assert dropped.others_majority_accuracy.count == 9


def test_two_labelers_have_no_majority_of_others() -> None:
    found = agreement([group(0, 3, STRICT, OTHER)])

    assert found.others_majority_accuracy is None
    assert found.others_reason == (
        "no prompt was judged by three labelers, so the others have no majority"
    )
