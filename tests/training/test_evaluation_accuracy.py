import math

import numpy as np
import pytest
import torch

from tests.training.judging import group, one_pack, ranking, scores
from training.engine.errors import NotFinite
from training.engine.evaluation.accuracy import accuracy, accuracy_by_strength
from training.engine.evaluation.estimates import Estimate, proportion, ratio, wilson
from training.engine.evaluation.judged import Judged, Score, implicit_rewards, judge
from training.engine.packing import pack

THREE = group(0, 3, ranking((0,), (1,), (2,), strengths={(0, 1): 1, (0, 2): 3, (1, 2): 1}))
TIED = group(1, 2, ranking((0, 1)))
TWO = group(2, 2, ranking((1,), (0,)))


def test_pairs_worked_by_hand() -> None:
    # THREE scores 2, 3, 1: 0-1 wrong, 0-2 and 1-2 right. TWO has equal scores: a half.
    judged = judge(one_pack([THREE, TIED, TWO]), scores(2, 3, 1, 9, 8, 5, 5))

    assert judged.differences.tolist() == [-1, 1, 2, 1, 0]
    assert judged.targets.tolist() == [1, 1, 1, 0.5, 1]
    assert judged.codes.tolist() == [0, 0, 0, 1, 2]
    found = accuracy(judged)
    assert found is not None
    # (0 + 1 + 1 + 0.5) / 4 strict pairs of two prompts
    assert (found.value, found.count, found.clusters) == (0.625, 4, 2)


def test_few_prompts_have_wilsons_interval_over_prompts() -> None:
    found = accuracy(judge(one_pack([THREE, TWO]), scores(2, 3, 1, 5, 5)))

    assert found is not None
    assert found.method == "wilson"
    assert (found.low, found.high) == wilson(0.625, 2)


def test_wilson_worked_by_hand() -> None:
    # 8 of 10 (Newcombe 1998 gives such tables): 0.4902 to 0.9433
    assert wilson(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    # none of 5: 0 to z^2 / (n + z^2) = 3.8415 / 8.8415
    assert wilson(0.0, 5) == pytest.approx((0, 0.43449), abs=1e-5)


def test_each_strength_by_itself() -> None:
    found = accuracy_by_strength(judge(one_pack([THREE, TWO]), scores(2, 3, 1, 5, 5)))

    assert [(one.strength, one.accuracy.value, one.accuracy.count) for one in found] == [
        (0, 0.5, 1),
        (1, 0.5, 2),
        (3, 1.0, 1),
    ]


def test_no_strict_pair_is_no_accuracy() -> None:
    judged = judge(one_pack([TIED]), scores(1, 0))

    assert accuracy(judged) is None
    assert accuracy_by_strength(judged) == ()
    assert accuracy(judge([], scores())) is None


def test_groups_on_one_prompt_are_one_cluster() -> None:
    same = [group(number, 2, ranking((0,), (1,)), prompt=5) for number in range(4)]

    found = accuracy(judge([pack(same[:2]), pack(same[2:])], scores(1, 0, 0, 1)))

    assert found is not None
    assert (found.count, found.clusters) == (4, 1)


def test_broken_scores_are_refused() -> None:
    with pytest.raises(NotFinite, match=r"not finite.*g2"):
        judge(one_pack([TWO]), scores(1, math.nan))


def test_implicit_rewards_are_sums_over_tokens() -> None:
    # Completions of one and two tokens: 0.1 * (-1 + 2) and 0.1 * (-3 - 3 + 1 + 1)
    score = implicit_rewards(scores_of_tokens(-1.0, -3, -3), scores_of_tokens(-2.0, -1, -1), 0.1)

    assert score(pack([TWO])).tolist() == pytest.approx([0.1, -0.4])


def scores_of_tokens(*values: float) -> Score:
    return lambda _packed: torch.tensor(values)


def clustered(rng: np.random.Generator, prompts: int, pairs: int) -> Judged:
    """Prompts differ in how easy they are, 0.7 on average: pairs of one hang together."""
    easy = rng.beta(1.4, 0.6, size=prompts)
    right = rng.random((prompts, pairs)) < easy[:, None]
    differences = np.where(right, 1.0, -1.0).ravel()
    same = np.ones_like(differences)
    return Judged(differences, same, same, np.repeat(np.arange(prompts), pairs), prompts)


def test_the_interval_covers_the_truth_although_pairs_are_dependent() -> None:
    rng = np.random.default_rng(0)
    covered = naive = 0
    for _ in range(300):
        found = accuracy(clustered(rng, prompts=60, pairs=10))
        assert found is not None
        assert found.method == "cluster_bootstrap"
        covered += covers(found, 0.7)
        low, high = wilson(found.value, 600)
        naive += low <= 0.7 <= high

    # 95% of 300 is 285; three standard deviations of that count are 11. Treating the pairs as
    # independent covers the truth far less often.
    assert 270 <= covered <= 297
    assert naive < 240


def covers(found: Estimate, truth: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return found.low <= truth <= found.high


def test_the_same_seed_gives_the_same_interval() -> None:
    sums, counts = np.random.default_rng(1).normal(size=40), np.ones(40)

    assert ratio(sums, counts, seed=3) == ratio(sums, counts, seed=3)
    assert ratio(sums, counts, seed=3) != ratio(sums, counts, seed=4)


def test_many_prompts_all_right_are_not_certain() -> None:
    found = proportion(np.full(100, 2.0), np.full(100, 2.0))

    assert found is not None
    # 1 / (1 + z^2 / n) = 1 / 1.038415
    assert found.method == "wilson"
    assert found.low == pytest.approx(0.963006, abs=1e-6)
    assert found.high == 1


def test_prompts_without_pairs_do_not_count() -> None:
    found = proportion(np.array([1.0, 0.0]), np.array([2.0, 0.0]))

    assert found is not None
    assert found.clusters == 1
    assert proportion(np.zeros(2), np.zeros(2)) is None


def test_a_single_cluster_has_no_interval() -> None:
    found = ratio(np.array([3.0]), np.array([2.0]))

    assert found == Estimate(1.5, None, None, 2.0, 1, None)


def test_a_ratio_resamples_groups_in_parts() -> None:
    # 5,000 groups are resampled 800 times at a time.
    rng = np.random.default_rng(2)
    counts = np.ones(5000)
    sums = rng.normal(2, 1, size=5000)

    found = ratio(sums, counts)

    assert found.low is not None
    assert found.high is not None
    # The standard error is 1 / sqrt(5000) = 0.01414, the interval 2 * 1.96 times that.
    assert found.high - found.low == pytest.approx(0.0554, rel=0.1)
