"""Log-probability of a token and entropy of its distribution, without [tokens x vocabulary].

As `training.engine.head`, with the temperature of sampling: a ratio of probabilities means
something only for the distribution that was sampled from. The entropy H = -Σ p log p has the slope
-p (log p + H) with respect to the logits; it is kept only where somebody wants to learn from it.
"""

from typing import Any

import torch
from torch import Tensor

from training.engine.head import CHUNK


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        scale: float,
        cap: float | None,
        temperature: float,
        sloped: bool,
        chunk: int,
    ) -> tuple[Tensor, Tensor]:
        logprobs = torch.empty(targets.shape, dtype=torch.float32, device=hidden.device)
        entropies = torch.empty_like(logprobs)
        wanted = ctx.needs_input_grad[0]
        slopes = torch.empty_like(hidden) if wanted else None
        bent = torch.empty_like(hidden) if wanted and sloped else None
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            target = targets[part, None]
            logits = torch.nn.functional.linear(hidden[part], weight, bias).float().mul_(scale)
            bend: Tensor | float = scale / temperature
            if cap is not None:
                logits = logits.div_(cap).tanh_()
                bend = (1 - logits.square()) * bend
                logits = logits.mul_(cap)
            logs = logits.div_(temperature)
            logs.sub_(logs.logsumexp(dim=-1, keepdim=True))
            logprobs[part] = logs.gather(1, target).squeeze(1)
            chances = logs.exp()
            entropy = -torch.linalg.vecdot(chances, logs)
            entropies[part] = entropy
            if bent is not None:
                slope = logs.add_(entropy[:, None]).mul_(chances).neg_()
                bent[part] = slope.mul_(bend).to(weight.dtype) @ weight
            if slopes is not None:
                # d logprob / d logits = onehot - softmax
                slope = chances.neg_()
                slope.scatter_add_(1, target, torch.ones_like(target, dtype=slope.dtype))
                slopes[part] = slope.mul_(bend).to(weight.dtype) @ weight
            # Let go of this chunk before the next one is made.
            del logits, logs, chances
        ctx.sloped = bent is not None
        if slopes is not None:
            ctx.save_for_backward(*([slopes] if bent is None else [slopes, bent]))
        if not sloped:
            ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        slopes = ctx.saved_tensors
        found = slopes[0] * grads[0][:, None].to(slopes[0].dtype)
        if ctx.sloped:
            found.addcmul_(slopes[1], grads[1][:, None].to(slopes[1].dtype))
        return found, None, None, None, None, None, None, None, None


def head_statistics(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    scale: float = 1.0,
    cap: float | None = None,
    temperature: float = 1.0,
    sloped: bool = False,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """Of each target its log-probability, and the entropy in nats: (N,) each, float32.

    hidden: (N, D); weight: (V, D), frozen; targets: (N,). The logits are
    cap * tanh(scale * (W h + b) / cap) / temperature. sloped: whether the entropy has a gradient;
    the log-probabilities always have one.
    """
    found: tuple[Tensor, Tensor] = _Head.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, targets, scale, cap, temperature, sloped, chunk
    )
    return found
