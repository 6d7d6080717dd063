"""The chunked language-model head: exact values and slopes, without a tensor of all logits."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from training.engine.head import head_logprobs

DRAW = torch.Generator().manual_seed(0)
HIDDEN = torch.randn(23, 8, generator=DRAW)
WEIGHT = torch.randn(50, 8, generator=DRAW)
BIAS = torch.randn(50, generator=DRAW)
TARGETS = torch.randint(50, (23,), generator=DRAW)
SLOPES = torch.randn(23, generator=DRAW)


def plainly(hidden: Tensor, bias: Tensor | None, scale: float, cap: float | None) -> Tensor:
    logits = (hidden @ WEIGHT.t() + (0 if bias is None else bias)) * scale
    if cap is not None:
        logits = cap * torch.tanh(logits / cap)
    return logits.log_softmax(dim=-1).gather(1, TARGETS[:, None])[:, 0]


@pytest.mark.parametrize("chunk", [1, 7, 23, 1000])
@pytest.mark.parametrize(
    "options",
    [{}, {"bias": BIAS}, {"scale": 0.5}, {"cap": 3.0}, {"bias": BIAS, "scale": 2.0, "cap": 5.0}],
)
def test_values_and_gradients_are_those_of_log_softmax(chunk: int, options: Any) -> None:
    hidden = HIDDEN.clone().requires_grad_()
    found = head_logprobs(hidden, WEIGHT, TARGETS, chunk=chunk, **options)
    (found * SLOPES).sum().backward()
    wanted_hidden = HIDDEN.clone().requires_grad_()
    wanted = plainly(
        wanted_hidden, options.get("bias"), options.get("scale", 1.0), options.get("cap")
    )
    (wanted * SLOPES).sum().backward()
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(hidden.grad, wanted_hidden.grad, atol=1e-5, rtol=1e-4)


def test_no_tensor_of_tokens_by_vocabulary_lives() -> None:
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for one in out if isinstance(out, tuple) else (out,):
                if isinstance(one, Tensor):
                    largest = max(largest, one.numel())
            return out

    hidden = torch.randn(400, 8).requires_grad_()
    weight = torch.randn(500, 8)
    with Watch():  # type: ignore[no-untyped-call]
        head_logprobs(hidden, weight, torch.zeros(400, dtype=torch.long), chunk=16).sum().backward()
    assert largest == 16 * 500


def test_without_gradients_only_the_values_are_kept() -> None:
    found = head_logprobs(HIDDEN, WEIGHT, TARGETS)
    assert not found.requires_grad
    torch.testing.assert_close(found, plainly(HIDDEN, None, 1.0, None), atol=1e-5, rtol=1e-5)
