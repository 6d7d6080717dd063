"""From rewards to advantages, on answers of any lengths without padding.

All answers of a step lie one behind the other: values of tokens are (N,), counts (C,) says how many
tokens each of the C answers has. Computed on the CPU: these are numbers, not activations.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Sum = Callable[[Tensor], Tensor]

SMALLEST_VARIANCE = 1e-8


def alone(value: Tensor) -> Tensor:
    """The sum over processes where there is one."""
    return value


def token_rewards(scores: Tensor, divergence: Tensor, counts: Tensor, coefficient: float) -> Tensor:
    """Every token pays for its divergence, and the last one earns the answer's score.

    Ziegler et al. 2019, eq. 2, token by token. scores: (C,); divergence: (N,) nats; returns (N,).
    """
    rewards = -coefficient * divergence
    return rewards.index_add(0, counts.cumsum(0) - 1, scores.to(rewards.dtype))


def gae(
    rewards: Tensor, values: Tensor, counts: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Advantages and returns, (N,) each (Schulman et al. 2016, eq. 16).

    δ_t = r_t + γ V_{t+1} - V_t and A_t = δ_t + γ λ A_{t+1}; behind an answer's last token the value
    is 0. The returns, which the critic learns, are A + V. rewards, values: (N,).
    """
    starts = counts.cumsum(0) - counts
    advantages = torch.zeros_like(values)
    ahead = values.new_zeros(len(counts))
    value_ahead = values.new_zeros(len(counts))
    for place in range(int(counts.max()) - 1, -1, -1):
        there = counts > place
        at = starts[there] + place
        delta = rewards[at] + gamma * value_ahead[there] - values[at]
        ahead[there] = delta + gamma * lam * ahead[there]
        value_ahead[there] = values[at]
        advantages[at] = ahead[there]
    return advantages, advantages + values


def leave_one_out(totals: Tensor, samples: int) -> Tensor:
    """RLOO (Ahmadian et al. 2024, eq. 9): an answer's total less the mean of its siblings' totals.

    totals: (C,) rewards of whole answers, those of a prompt one behind the other. samples: of each
    prompt, 2 or more. Returns (C,).
    """
    of_prompts = totals.view(-1, samples)
    others = (of_prompts.sum(dim=1, keepdim=True) - of_prompts) / (samples - 1)
    return (of_prompts - others).flatten()


@dataclass(frozen=True, slots=True)
class Moments:
    """mean and variance (of the population) of some numbers over all processes."""

    mean: float
    variance: float

    @property
    def deviation(self) -> float:
        return math.sqrt(max(self.variance, SMALLEST_VARIANCE))


def moments(values: Tensor, total: Sum = alone) -> Moments:
    """Mean and variance of (N,) numbers. total: adds up a tensor over processes; all call."""
    count = total(torch.tensor(float(len(values)), dtype=torch.float64))
    mean = total(values.double().sum()) / count.clamp(min=1)
    variance = total((values.double() - mean).square().sum()) / count.clamp(min=1)
    return Moments(mean.item(), variance.item())


def whiten(values: Tensor, total: Sum = alone) -> Tensor:
    """(N,) with mean 0 and variance 1 over the whole batch of all processes; not by minibatch."""
    found = moments(values, total)
    return (values - found.mean) / math.sqrt(found.variance + SMALLEST_VARIANCE)
