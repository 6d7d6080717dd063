from collections.abc import Sequence
from itertools import pairwise

import pytest

from tests.training.judging import group, ranking
from training.engine.evaluation.curve import learning_curve, subsets
from training.engine.evaluation.estimates import Estimate
from training.engine.groups import Group

GROUPS = [group(number, 3, ranking((0,), (1,), (2,))) for number in range(100)]


def keys(groups: Sequence[Group]) -> set[str]:
    return {one.key for one in groups}


def test_subsets_are_nested_and_of_the_sizes_asked_for() -> None:
    parts = subsets(GROUPS)

    assert [len(part.groups) for part in parts] == [12, 25, 50, 100]
    for smaller, larger in pairwise(parts):
        assert keys(smaller.groups) < keys(larger.groups)


def test_the_order_of_the_groups_does_not_matter_and_the_seed_does() -> None:
    first = subsets(GROUPS)[0]

    assert subsets(GROUPS[::-1])[0] == first
    assert keys(subsets(GROUPS, seed=1)[0].groups) != keys(first.groups)


def test_each_part_is_trained_and_measured() -> None:
    def train(groups: Sequence[Group]) -> Estimate:
        share = len(groups) / 100
        return Estimate(share, share, share, 1, 1, "wilson")

    found = learning_curve(subsets(GROUPS, (0.1, 0.5)), train)

    assert [(point.fraction, point.groups, point.pairs) for point in found] == [
        (0.1, 10, 30),
        (0.5, 50, 150),
    ]
    assert [point.accuracy and point.accuracy.value for point in found] == [0.1, 0.5]


@pytest.mark.parametrize("fractions", [(0.5, 0.25), (0.5, 0.5), (0.0, 1.0), (0.5, 1.5)])
def test_fractions_that_make_no_curve_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="rise"):
        subsets(GROUPS, fractions)


def test_too_few_groups_and_keys_given_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="3 groups are too few"):
        subsets(GROUPS[:3])
    with pytest.raises(ValueError, match="0 groups are too few"):
        subsets([], (1.0,))
    with pytest.raises(ValueError, match="key of its own"):
        subsets([GROUPS[0]] * 8)
