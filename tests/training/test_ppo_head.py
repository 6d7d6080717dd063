"""Log-probabilities and entropies of the chunked head against those of whole logits."""

import pytest
import torch
from torch import Tensor

from training.engine.head import head_logprobs
from training.engine.ppo.head import head_statistics


def whole(
    hidden: Tensor, weight: Tensor, targets: Tensor, cap: float | None, temperature: float
) -> tuple[Tensor, Tensor]:
    logits = 0.5 * (hidden @ weight.t())
    if cap is not None:
        logits = cap * torch.tanh(logits / cap)
    logs = (logits / temperature).log_softmax(-1)
    return logs.gather(1, targets[:, None])[:, 0], -(logs.exp() * logs).sum(-1)


@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_values_and_gradients_are_those_of_whole_logits(
    cap: float | None, temperature: float
) -> None:
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(11, 6, generator=draw)
    targets = torch.randint(11, (7,), generator=draw)
    found_at = torch.randn(7, 6, generator=draw).requires_grad_(True)
    expected_at = found_at.detach().clone().requires_grad_(True)
    found = head_statistics(
        found_at,
        weight,
        targets,
        scale=0.5,
        cap=cap,
        temperature=temperature,
        sloped=True,
        chunk=3,
    )
    expected = whole(expected_at, weight, targets, cap, temperature)
    torch.testing.assert_close(found, expected)
    slopes = torch.randn(2, 7, generator=draw)
    for logprobs, entropies in (found, expected):
        (slopes[0] * logprobs + slopes[1] * entropies).sum().backward()
    torch.testing.assert_close(found_at.grad, expected_at.grad)


def test_an_entropy_that_nobody_learns_from_has_no_gradient() -> None:
    hidden = torch.randn(4, 5, requires_grad=True)
    weight, targets = torch.randn(9, 5), torch.tensor([0, 3, 8, 8])
    logprobs, entropies = head_statistics(hidden, weight, targets)
    assert not entropies.requires_grad
    torch.testing.assert_close(logprobs, head_logprobs(hidden, weight, targets))
    logprobs.sum().backward()
    found = hidden.grad
    hidden.grad = None
    head_logprobs(hidden, weight, targets).sum().backward()
    torch.testing.assert_close(found, hidden.grad)
