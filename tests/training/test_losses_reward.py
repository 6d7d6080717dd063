from functools import partial
from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, tensor
from torch.testing import assert_close

from training.engine.losses.pairwise import sigmoid
from training.engine.losses.reward import pairwise

score = st.floats(-20, 20)


def of_two(
    won: float, lost: float, *, target: float = 1.0, margin: float = 0.0, centering: float = 0.0
) -> float:
    scores = tensor([won, lost], dtype=torch.double)
    targets, margins = (tensor([number], dtype=torch.double) for number in (target, margin))
    return pairwise(scores, tensor([0]), tensor([1]), targets, margins, centering).item()


def test_a_ranking_of_three_worked_by_hand() -> None:
    # Rewards 3, 1, 2; all three pairs of 0 > 1 > 2: differences 2, 1, -1.
    losses = pairwise(
        tensor([3.0, 1.0, 2.0]),
        tensor([0, 0, 1]),
        tensor([1, 2, 2]),
        torch.ones(3),
        torch.zeros(3),
    )

    # log(1 + e^-2), log(1 + e^-1), log(1 + e)
    assert_close(losses, tensor([0.126928, 0.313262, 1.313262]), atol=1e-6, rtol=0)


def test_a_margin_is_taken_off_the_difference() -> None:
    # 2 - 1 - 1 = 0
    assert of_two(2, 1, margin=1) == pytest.approx(log(2))
    # 4 - 0 - 3 = 1
    assert of_two(4, 0, margin=3) == pytest.approx(0.313262, abs=1e-6)


def test_a_tie_is_a_half_of_each() -> None:
    # σ(log 3) = 3/4
    assert of_two(log(3), 0, target=0.5) == pytest.approx((log(4 / 3) + log(4)) / 2)


def test_centering_draws_the_sum_to_nought() -> None:
    # log 2 + 0.01 * (3 + 3)^2
    assert of_two(3, 3, centering=0.01) == pytest.approx(log(2) + 0.36)
    assert of_two(3, -3, centering=0.01) == pytest.approx(of_two(3, -3))


@given(score, score, st.floats(0, 1), st.floats(0, 3), st.floats(0, 1))
def test_naming_a_pair_the_other_way_round_changes_nothing(
    won: float, lost: float, target: float, margin: float, centering: float
) -> None:
    there = partial(of_two, margin=margin, centering=centering)

    assert there(won, lost, target=target) == pytest.approx(there(lost, won, target=1 - target))


@given(score, score, score, st.floats(0, 3))
def test_only_differences_count(won: float, lost: float, shift: float, margin: float) -> None:
    shifted = of_two(won + shift, lost + shift, margin=margin)

    assert shifted == pytest.approx(of_two(won, lost, margin=margin))


@given(score, score, st.floats(0, 3), st.floats(0.01, 3))
def test_a_larger_margin_costs_more(won: float, lost: float, margin: float, more: float) -> None:
    assert of_two(won, lost, margin=margin + more) > of_two(won, lost, margin=margin)


@given(score, score)
def test_without_margins_it_is_the_logistic_loss_of_dpo(won: float, lost: float) -> None:
    of_difference = sigmoid(
        tensor([won - lost], dtype=torch.double), torch.ones(1, dtype=torch.double)
    )

    assert of_two(won, lost) == pytest.approx(of_difference.item(), rel=1e-9, abs=1e-12)


def test_it_is_finite_far_out() -> None:
    scores = tensor([1e4, -1e4], requires_grad=True)

    losses = pairwise(scores, tensor([0, 1]), tensor([1, 0]), torch.ones(2), torch.full((2,), 3.0))
    (slope,) = torch.autograd.grad(losses.sum(), scores)

    assert_close(losses, tensor([0.0, 20003.0]))
    assert_close(slope, tensor([1.0, -1.0]))


def test_gradients() -> None:
    scores = torch.randn(4, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    winners, losers = tensor([0, 0, 1, 2]), tensor([1, 2, 3, 3])
    targets = tensor([1.0, 1.0, 0.5, 1.0]).double()
    margins = tensor([3.0, 1.0, 0.0, 2.0]).double()

    def losses(scores: Tensor) -> Tensor:
        return pairwise(scores, winners, losers, targets, margins, 0.01)

    assert torch.autograd.gradcheck(losses, scores.requires_grad_())
