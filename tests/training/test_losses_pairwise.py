from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor
from torch.testing import assert_close

from training.engine.losses.pairwise import ipo, sigmoid

margins = st.floats(-30, 30)


def of_one(margin: float, target: float = 1.0, smoothing: float = 0.0) -> float:
    at, wanted = (tensor([number], dtype=torch.double) for number in (margin, target))
    return sigmoid(at, wanted, smoothing).item()


def test_dpo_worked_by_hand() -> None:
    # beta 0.1; the winner gained 20 - 10 nats on the reference, the loser 5 - 15, or the reverse.
    # margins 0.1 * (10 + 10) = 2, 0, -2; -log σ(2) = log(1 + e^-2) = 0.126928, log 2, 2.126928
    losses = sigmoid(tensor([2.0, 0.0, -2.0]), torch.ones(3))

    assert_close(losses, tensor([0.126928, 0.693147, 2.126928]), atol=1e-6, rtol=0)


def test_a_margin_of_log_three_has_odds_of_three() -> None:
    # σ(log 3) = 3/4
    assert of_one(log(3)) == pytest.approx(log(4 / 3))
    # a tie: half of log(4/3), half of log(4)
    assert of_one(log(3), target=0.5) == pytest.approx((log(4 / 3) + log(4)) / 2)
    # a tenth of the labels flipped: 0.9 log(4/3) + 0.1 log(4)
    assert of_one(log(3), smoothing=0.1) == pytest.approx(0.9 * log(4 / 3) + 0.1 * log(4))


def test_ipo_worked_by_hand() -> None:
    # beta 0.1 asks for a delta of 1 / 0.2 = 5; a tie for 0
    losses = ipo(tensor([2.0, 5.0, 2.0]), tensor([1.0, 1.0, 0.5]), 0.1)

    assert_close(losses, tensor([9.0, 0.0, 4.0]))


@given(margins, st.floats(0, 0.5))
def test_a_tie_says_the_same_from_both_sides_and_smoothing_keeps_it(
    margin: float, smoothing: float
) -> None:
    assert of_one(margin, 0.5) == pytest.approx(of_one(-margin, 0.5))
    assert of_one(margin, 0.5, smoothing) == pytest.approx(of_one(margin, 0.5))


@given(margins, st.floats(0, 1), st.floats(0, 0.5))
def test_naming_a_pair_the_other_way_round_changes_nothing(
    margin: float, target: float, smoothing: float
) -> None:
    there = of_one(margin, target, smoothing)

    assert of_one(-margin, 1 - target, smoothing) == pytest.approx(there, abs=1e-12)


@given(margins, st.floats(0.01, 5))
def test_a_larger_margin_costs_less(margin: float, more: float) -> None:
    assert of_one(margin + more) < of_one(margin)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("target", [1.0, 0.5])
def test_it_is_finite_far_out(target: float, smoothing: float) -> None:
    far = tensor([1e4, -1e4], requires_grad=True)

    losses = sigmoid(far, torch.full((2,), target), smoothing)
    (slope,) = torch.autograd.grad(losses.sum(), far)

    assert losses.isfinite().all()
    # The slope is σ(margin) - p, with p the probability that the label stands.
    kept = target * (1 - smoothing) + (1 - target) * smoothing
    assert_close(slope, tensor([1 - kept, -kept]))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_gradients(smoothing: float) -> None:
    at = tensor([1.3, -0.4, 0.7], dtype=torch.double, requires_grad=True)
    targets = tensor([1.0, 1.0, 0.5], dtype=torch.double)

    assert torch.autograd.gradcheck(lambda m: sigmoid(m, targets, smoothing), at)
    assert torch.autograd.gradcheck(lambda d: ipo(d, targets, 0.1), at)
