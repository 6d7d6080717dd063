"""PPO's pure parts against numbers worked by hand, naive formulas and finite differences."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, tensor

from training.engine.ppo import losses
from training.engine.ppo.advantages import (
    gae,
    leave_one_out,
    moments,
    token_rewards,
    whiten,
)
from training.engine.ppo.alarms import Start, alarms
from training.engine.ppo.kl import ESTIMATORS, Penalty
from training.engine.ppo.scale import Scale, with_missing_ends


def near(found: Tensor, *expected: float) -> None:
    torch.testing.assert_close(found, tensor(expected), rtol=1e-5, atol=1e-6)


# --- advantages ------------------------------------------------------------------------------


def test_gae_of_two_answers_of_three_tokens_and_one() -> None:
    rewards = tensor([0.0, 0.0, 1.0, 2.0])
    values = tensor([0.5, 0.4, 0.2, 0.5])
    advantages, returns = gae(rewards, values, tensor([3, 1]), gamma=1.0, lam=0.5)
    # δ = -0.1, -0.2, 0.8 and A2 = 0.8, A1 = -0.2 + 0.4, A0 = -0.1 + 0.1; alone: 2 - 0.5
    near(advantages, 0.0, 0.2, 0.8, 1.5)
    near(returns, 0.5, 0.6, 1.0, 2.0)


def test_gae_discounts() -> None:
    advantages, returns = gae(
        tensor([1.0, 1.0]), tensor([0.0, 2.0]), tensor([2]), gamma=0.5, lam=0.5
    )
    # δ1 = 1 - 2 = -1; δ0 = 1 + 0.5 * 2 - 0 = 2; A0 = 2 + 0.25 * -1
    near(advantages, 1.75, -1.0)
    near(returns, 1.75, 1.0)


@given(
    counts=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    gamma=st.floats(0.5, 1.0),
    lam=st.floats(0.0, 1.0),
    seed=st.integers(0, 99),
)
def test_gae_is_the_recursion_of_each_answer_alone(
    counts: list[int], gamma: float, lam: float, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    total = sum(counts)
    rewards, values = torch.randn(2, total, generator=draw, dtype=torch.float64)
    advantages, returns = gae(rewards, values, tensor(counts), gamma=gamma, lam=lam)
    expected: list[Tensor] = []
    start = 0
    for count in counts:
        ahead, following = tensor(0.0, dtype=torch.float64), tensor(0.0, dtype=torch.float64)
        answer: list[Tensor] = []
        for at in range(start + count - 1, start - 1, -1):
            ahead = rewards[at] + gamma * following - values[at] + gamma * lam * ahead
            following = values[at]
            answer.insert(0, ahead)
        expected += answer
        start += count
    torch.testing.assert_close(advantages, torch.stack(expected))
    torch.testing.assert_close(returns, advantages + values)


def test_with_lambda_one_the_return_is_what_is_still_to_come() -> None:
    rewards = tensor([1.0, -2.0, 4.0])
    _, returns = gae(rewards, torch.randn(3), tensor([3]), gamma=1.0, lam=1.0)
    near(returns, 3.0, 2.0, 4.0)


def test_tokens_pay_for_divergence_and_the_last_one_earns_the_score() -> None:
    rewards = token_rewards(
        tensor([3.0, -1.0]), tensor([0.1, 0.2, 0.3, 0.4, 0.5]), tensor([2, 3]), 0.5
    )
    near(rewards, -0.05, 2.9, -0.15, -0.2, -1.25)


def test_rloo_compares_an_answer_with_its_siblings() -> None:
    found = leave_one_out(tensor([1.0, 2.0, 6.0, 5.0, 5.0, 5.0]), 3)
    # 1 - (2 + 6) / 2, 2 - 3.5, 6 - 1.5
    near(found, -3.0, -1.5, 4.5, 0.0, 0.0, 0.0)


def test_whitening_is_over_the_whole_batch() -> None:
    # mean 4, variance (9 + 1 + 1 + 9) / 4 = 5
    near(whiten(tensor([1.0, 3.0, 5.0, 7.0])) * math.sqrt(5), -3.0, -1.0, 1.0, 3.0)


def test_whitening_over_processes_is_that_of_all_numbers_together() -> None:
    """Two processes, played one after the other: every sum has the other one's share added."""
    mine, other = tensor([1.0, 3.0]), tensor([5.0, 7.0])
    means = [torch.tensor(2.0), other.double().sum(), (other.double() - 4).square().sum()]
    shares = iter(means)
    found = whiten(mine, total=lambda value: value + next(shares))
    near(found, *whiten(torch.cat([mine, other]))[:2].tolist())


def test_equal_numbers_are_whitened_to_zero() -> None:
    near(whiten(tensor([2.0, 2.0])), 0.0, 0.0)
    assert moments(tensor([2.0, 4.0])).deviation == 1.0


# --- divergence ------------------------------------------------------------------------------


def test_k1_and_k3_of_one_token() -> None:
    policy, reference = tensor([0.5, 0.25]).log(), tensor([0.25, 0.5]).log()
    # r = q/p = 1/2 and 2: k1 = -log r, k3 = r - 1 - log r
    near(ESTIMATORS["k1"](policy, reference), math.log(2), -math.log(2))
    near(ESTIMATORS["k3"](policy, reference), -0.5 + math.log(2), 1 - math.log(2))


@given(seed=st.integers(0, 99))
def test_both_estimators_are_unbiased(seed: int) -> None:
    """Their expectation over the policy is the exact divergence; k3 is never negative."""
    logits = torch.randn(2, 9, generator=torch.Generator().manual_seed(seed)).double()
    policy, reference = logits.log_softmax(-1)
    exact = (policy.exp() * (policy - reference)).sum()
    for estimate in ESTIMATORS.values():
        torch.testing.assert_close((policy.exp() * estimate(policy, reference)).sum(), exact)
    assert (ESTIMATORS["k3"](policy, reference) >= 0).all()


def test_the_penalty_follows_its_target() -> None:
    penalty = Penalty(0.1, target=6.0, horizon=100)
    # Twice the target: an error of 1, cut to 0.2; 10 of 100 answers
    assert penalty.after(12.0, 10).coefficient == pytest.approx(0.1 * 1.02)
    assert penalty.after(6.6, 10).coefficient == pytest.approx(0.1 * 1.01)
    assert penalty.after(0.0, 50).coefficient == pytest.approx(0.1 * 0.9)
    assert penalty.after(6.0, 10) == penalty


def test_without_a_target_the_penalty_stays() -> None:
    assert Penalty(0.1).after(1e9, 1000).coefficient == 0.1


# --- losses ----------------------------------------------------------------------------------

# Ratios 1.5, 0.5, 1.5, 0.5 and 1.1 with a clip of 0.2
RATIOS = tensor([1.5, 0.5, 1.5, 0.5, 1.1])
GAINS = tensor([2.0, 2.0, -2.0, -2.0, 1.0])


def test_the_policy_loss_on_both_sides_of_the_clip() -> None:
    found = losses.policy(RATIOS.log(), torch.zeros(5), GAINS, 0.2)
    # -min(3, 2.4), -min(1, 1.6), -min(-3, -2.4), -min(-1, -1.6), -1.1
    near(found, -2.4, -1.0, 3.0, 1.6, -1.1)
    near(losses.policy_clipped(RATIOS.log(), torch.zeros(5), GAINS, 0.2), 1.0, 0.0, 0.0, 1.0, 0.0)


def test_the_policy_gradient_at_the_start_is_minus_the_advantage() -> None:
    logprobs = torch.zeros(5, requires_grad=True)
    losses.policy(logprobs, torch.zeros(5), GAINS, 0.2).sum().backward()
    assert logprobs.grad is not None
    near(logprobs.grad, *(-GAINS).tolist())


def test_a_clipped_token_has_no_gradient() -> None:
    logprobs = RATIOS.log().requires_grad_(True)
    losses.policy(logprobs, torch.zeros(5), GAINS, 0.2).sum().backward()
    assert logprobs.grad is not None
    clipped = losses.policy_clipped(logprobs, torch.zeros(5), GAINS, 0.2).bool()
    assert torch.equal(logprobs.grad == 0, clipped)


def test_the_value_loss_on_both_sides_of_the_clip() -> None:
    values, old = tensor([1.0, 0.1, -1.0]), torch.zeros(3)
    returns = tensor([1.0, 1.0, 1.0])
    found = losses.value(values, old, returns, 0.2)
    # kept: 0.2, 0.1, -0.2 -> the worse of (0, .64), (.81, .81), (4, 1.44), halved
    near(found, 0.32, 0.405, 2.0)
    near(losses.value_clipped(values, old, returns, 0.2), 1.0, 0.0, 0.0)


def test_the_losses_have_the_gradient_of_finite_differences() -> None:
    draw = torch.Generator().manual_seed(0)
    made, old, gains = torch.randn(3, 20, generator=draw, dtype=torch.float64) * 0.3
    wanted = made.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda one: losses.policy(one, old, gains, 0.2), wanted)
    assert torch.autograd.gradcheck(lambda one: losses.value(one, old, gains, 0.2), wanted)


def test_how_far_a_step_moved() -> None:
    # new / old = 2 and 1/2
    found = losses.moved(tensor([0.5, 0.25]).log(), tensor([0.25, 0.5]).log())
    near(found, 1 - math.log(2), -0.5 + math.log(2))


def test_a_token_of_another_policy_counts_by_its_importance() -> None:
    old, sampled = tensor([0.5, 0.1, 0.9]).log(), tensor([0.25, 0.2, 0.1]).log()
    near(losses.importance(old, sampled, 3.0), 2.0, 0.5, 3.0)


def test_explained_variance() -> None:
    returns = tensor([1.0, 2.0, 3.0])
    assert losses.explained_variance(returns, returns) == 1
    assert losses.explained_variance(tensor([2.0, 2.0, 2.0]), returns) == 0
    assert losses.explained_variance(-returns, returns) == pytest.approx(-3)


# --- scale -----------------------------------------------------------------------------------


def test_rewards_are_scaled_by_what_the_reference_earned() -> None:
    scale = Scale.of(tensor([1.0, 3.0, 5.0, 7.0]), clip=1.0)
    assert scale.mean == 4
    assert scale.deviation == pytest.approx(math.sqrt(5))
    near(scale(tensor([4.0, 4 + math.sqrt(5) / 2, 100.0, -100.0])), 0.0, 0.5, 1.0, -1.0)


def test_equal_rewards_are_only_shifted() -> None:
    near(Scale.of(tensor([2.0, 2.0]), clip=None)(tensor([2.0, 5.0])), 0.0, 3.0)


def test_a_missing_end_costs() -> None:
    near(with_missing_ends(tensor([1.0, 1.0]), tensor([True, False]), 0.75), 1.0, 0.25)


# --- alarms ----------------------------------------------------------------------------------

START = Start(reward=0.0, length=20.0, accuracy=0.7)
FINE = {"score": 1.0, "kl": 3.0, "length": 22.0, "evaluation_accuracy": 0.72}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, set()),
        ({"kl": 11.0}, {"kl"}),
        ({"evaluation_accuracy": 0.6}, {"accuracy"}),
        ({"evaluation_accuracy": 0.6, "score": 0.0}, set()),
        ({"length": 31.0}, {"length"}),
        ({"length": 13.0}, {"length"}),
        ({"length": 31.0, "score": 0.0}, set()),
    ],
)
def test_what_is_alarming(change: dict[str, float], expected: set[str]) -> None:
    assert set(alarms(START, FINE | change, kl_bound=10.0)) == expected


def test_nothing_is_compared_that_was_not_measured() -> None:
    now = {name: value for name, value in FINE.items() if name != "evaluation_accuracy"}
    assert alarms(Start(0.0, 20.0), now | {"kl": 1e9}, kl_bound=None) == {}
    assert START.with_accuracy(0.6).accuracy == 0.7
    assert START.with_accuracy(0.8).accuracy == 0.8
