from math import log

import numpy as np
import pytest
import torch

from tests.training.judging import group, one_pack, ranking, scores
from training.engine.evaluation.calibration import calibration
from training.engine.evaluation.judged import Judged, judge
from training.engine.losses.pairwise import sigmoid


def judged(differences: list[float], targets: list[float] | None = None) -> Judged:
    count = len(differences)
    wanted = np.array(targets) if targets else np.ones(count)
    return Judged(
        np.array(differences), wanted, np.zeros(count), np.arange(count, dtype=np.int64), count
    )


def test_a_perfect_forecaster() -> None:
    # σ(log 3) = 3/4, and it is right in three of four.
    found = calibration(judged([log(3), log(3), log(3), -log(3)]))

    assert found is not None
    assert found.error == pytest.approx(0)
    # 3/4 * (1/4)^2 + 1/4 * (3/4)^2
    assert found.brier == pytest.approx(0.1875)
    assert found.log_loss == pytest.approx(0.75 * log(4 / 3) + 0.25 * log(4))
    assert [one.count for one in found.bins] == [4]
    assert (found.bins[0].low, found.bins[0].accuracy) == (0.75, 0.75)
    assert found.bins[0].confidence == pytest.approx(0.75)


def test_an_overconfident_one_worked_by_hand() -> None:
    # Four forecasts of 0.9, half of them right; two of 0.6, both right.
    found = calibration(judged([log(9), log(9), -log(9), -log(9), log(1.5), log(1.5)]))

    assert found is not None
    # 4/6 * |0.5 - 0.9| + 2/6 * |1 - 0.6|
    assert found.error == pytest.approx(0.4)
    # (2 * 0.01 + 2 * 0.81 + 2 * 0.16) / 6
    assert found.brier == pytest.approx(1.96 / 6)
    assert [one.count for one in found.bins] == [2, 4]


def test_a_tie_is_right_by_half() -> None:
    found = calibration(judged([log(3), 0.0], [0.5, 1.0]))

    assert found is not None
    # 0.75 against 0.5, and a forecast of 0.5, which is right by half: (0.25 + 0) / 2
    assert found.error == pytest.approx(0.125)
    # (0.25^2 + 0.5^2) / 2
    assert found.brier == pytest.approx(0.15625)
    assert found.log_loss == pytest.approx(((log(4 / 3) + log(4)) / 2 + log(2)) / 2)


def test_log_loss_is_the_loss_of_training() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(0, 5, 200)
    targets = rng.choice([0.5, 1.0], 200)

    found = calibration(judged(differences.tolist(), targets.tolist()))

    assert found is not None
    loss = sigmoid(torch.from_numpy(differences), torch.from_numpy(targets)).mean()
    assert found.log_loss == pytest.approx(loss.item())


def test_random_outcomes_of_the_forecast_are_calibrated() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(0, 2, 20000)
    won = rng.random(20000) < 1 / (1 + np.exp(-differences))

    found = calibration(judged(np.where(won, differences, -differences).tolist()))

    assert found is not None
    # The noise of ten bins of some 2,000 pairs each is about 0.01.
    assert found.error < 0.01
    assert sum(one.count for one in found.bins) == 20000


def test_far_scores_and_no_pairs() -> None:
    far = calibration(judged([1e4, -1e4]))

    assert far is not None
    assert far.log_loss == pytest.approx(5000)
    assert (far.error, far.brier) == (0.5, 0.5)
    assert calibration(judge(one_pack([group(0, 2)]), scores(1, 2))) is None
    assert (
        calibration(judge(one_pack([group(0, 2, ranking((0,), (1,)))]), scores(1, 0))) is not None
    )
