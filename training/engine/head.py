"""Log-probabilities of given tokens without a [tokens x vocabulary] tensor.

The language-model head of a small model is a fifth of its work and, as a tensor of logits, most of
its memory. Here it runs over a chunk of tokens at a time, for the tokens that are scored only. The
head is frozen, so the gradient of a token's log-probability with respect to its hidden state,
`W[y] - softmax(W h) W`, needs no knowledge of what comes after: it is computed while the logits are
there, and the backward pass is a product by one number for each token.
"""

from typing import Any

import torch
from torch import Tensor

CHUNK = 1024


class _HeadLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        scale: float,
        cap: float | None,
        chunk: int,
    ) -> Tensor:
        logprobs = torch.empty(targets.shape, dtype=torch.float32, device=hidden.device)
        wanted = ctx.needs_input_grad[0]
        slopes = torch.empty_like(hidden) if wanted else None
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            target = targets[part, None]
            raw = torch.nn.functional.linear(hidden[part], weight, bias).float()
            logits = raw.mul_(scale)
            bend = None
            if cap is not None:
                logits = logits.div_(cap).tanh_()
                bend = 1 - logits.square() if wanted else None
                logits = logits.mul_(cap)
            total = logits.logsumexp(dim=-1, keepdim=True)
            logprobs[part] = (logits.gather(1, target) - total).squeeze(1)
            if slopes is None:
                continue
            # d logprob / d logits = onehot - softmax
            slope = logits.sub_(total).exp_().neg_()
            slope.scatter_add_(1, target, torch.ones_like(target, dtype=slope.dtype))
            if bend is not None:
                slope.mul_(bend)
            slopes[part] = slope.mul_(scale).to(weight.dtype) @ weight
            # Let go of this chunk before the next one is made.
            del raw, logits, slope
        if slopes is not None:
            ctx.save_for_backward(slopes)
        return logprobs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (slopes,) = ctx.saved_tensors
        return (slopes * grads[0][:, None].to(slopes.dtype), None, None, None, None, None, None)


def head_logprobs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    scale: float = 1.0,
    cap: float | None = None,
    chunk: int = CHUNK,
) -> Tensor:
    """Log-probability of each target under `softmax(cap * tanh(scale * (W h + b) / cap))`.

    hidden: (N, D); weight: (V, D), frozen; targets: (N,); returns (N,) in float32. scale: 1 / the
    temperature, or the model's own factor; cap: soft cap of the logits (Gemma 2), None without.
    At most `chunk` x V numbers of logits exist at a time, in forward and backward.
    """
    result: Tensor = _HeadLogProbs.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, targets, scale, cap, chunk
    )
    return result
