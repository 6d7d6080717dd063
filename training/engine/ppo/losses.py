"""The losses of PPO, token by token and pure (Schulman et al. 2017).

All tensors are (N,) over the answers' tokens and float32; what is called old was measured before
the first update of the step.
"""

import torch
from torch import Tensor

from training.engine.evaluation.drift import k3


def policy(logprobs: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """The clipped surrogate, to be minimised (eq. 7): -min(r A, clip(r, 1 ± ε) A)."""
    ratio = (logprobs - old).exp()
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip))


def policy_clipped(logprobs: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """1.0 where the clip holds a token back, so that it has no gradient."""
    ratio = (logprobs - old).exp()
    above = (ratio > 1 + clip) & (advantages > 0)
    below = (ratio < 1 - clip) & (advantages < 0)
    return (above | below).float()


def value(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Half the squared error, of the value or of it kept within ± clip of the old one: the larger.

    As in OpenAI's baselines ("37 implementation details", 9).
    """
    kept = old + (values - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns).square(), (kept - returns).square())


def value_clipped(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """1.0 where the kept value is the worse one, so that the token has no gradient."""
    kept = old + (values - old).clamp(-clip, clip)
    return ((kept - returns).square() > (values - returns).square()).float()


def moved(logprobs: Tensor, old: Tensor) -> Tensor:
    """KL(old || new) of each token by k3: how far the updates of this step went ("37 details", 12).

    The tokens were sampled from the old policy.
    """
    return k3(old, logprobs)


def importance(old: Tensor, sampled: Tensor, cap: float) -> Tensor:
    """What a token counts that another policy sampled, π_old / π_sampler, `cap` at most.

    Truncated importance sampling (Ionides 2008), as decoupled PPO takes it for rollouts that are
    a step old or come from another engine (Hilton et al. 2021, eq. 5).
    """
    return (old - sampled).exp().clamp(max=cap)


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """1 - Var(returns - values) / Var(returns): 1 knows all, 0 no more than their mean; scalar."""
    spread = returns.var(correction=0)
    return 1 - (returns - values).var(correction=0) / spread.clamp(min=1e-12)
