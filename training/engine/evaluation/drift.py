"""Drift: how far a policy has moved from its reference, in what it says and in how long it is."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.engine.evaluation.estimates import Estimate, ratio
from training.engine.evaluation.sampling import Sample
from training.engine.packing import Pack
from training.engine.scorers import LogProbs

Logits = Callable[[Tensor], Tensor]
Predictions = Callable[[Pack], tuple[Tensor, Logits]]
CHUNK = 256


@dataclass(frozen=True, slots=True)
class Length:
    """Mean tokens of an answer, without the end token. difference: trained less base, with an
    interval over prompts. unfinished: share of answers that the limit of tokens cut off; where it
    is not small, lengths are understated.
    """

    trained: float
    base: float
    difference: Estimate
    unfinished_trained: float
    unfinished_base: float


@dataclass(frozen=True, slots=True)
class Divergence:
    """KL(policy || reference) in nats a token, with an interval over completions; exact over the
    vocabulary at every position. per_completion: mean of the sums over a completion's tokens.
    """

    per_token: Estimate
    per_completion: float
    tokens: int


def length_drift(trained: Sequence[Sample], base: Sequence[Sample]) -> Length:
    """Compare answers to the same prompts in the same order; ValueError unless as many."""
    if not trained or len(trained) != len(base):
        raise ValueError("length drift needs one answer of each model to every prompt")
    ours, theirs = (
        np.array([sample.length for sample in samples], dtype=np.float64)
        for samples in (trained, base)
    )
    return Length(
        trained=float(ours.mean()),
        base=float(theirs.mean()),
        difference=ratio(ours - theirs, np.ones_like(ours)),
        unfinished_trained=float(np.mean([not sample.finished for sample in trained])),
        unfinished_base=float(np.mean([not sample.finished for sample in base])),
    )


def kl(
    policy: Tensor,
    reference: Tensor,
    policy_logits: Logits,
    reference_logits: Logits,
    *,
    chunk: int = CHUNK,
) -> Tensor:
    """Exact KL(policy || reference) of the next token at each position: (N,) in float32.

    policy, reference: (N, D) hidden states. policy_logits, reference_logits: hidden states to
    logits, (n, D) to (n, V); called on `chunk` positions at a time, so that no N x V tensor exists.
    """
    found = [
        kl_of_logits(policy_logits(ours), reference_logits(theirs))
        for ours, theirs in zip(
            torch.split(policy, chunk), torch.split(reference, chunk), strict=True
        )
    ]
    return torch.cat(found) if found else policy.new_zeros(0, dtype=torch.float32)


def kl_of_logits(policy: Tensor, reference: Tensor) -> Tensor:
    """Sum over the vocabulary of p (log p - log q); policy, reference: (N, V); returns (N,)."""
    ours, theirs = policy.float().log_softmax(-1), reference.float().log_softmax(-1)
    return (ours.exp() * (ours - theirs)).sum(-1)


@torch.no_grad()
def kl_drift(packs: Iterable[Pack], policy: Predictions, reference: Predictions) -> Divergence:
    """KL at every completion token of the packs, which hold the policy's own answers or given ones.

    Only on the policy's own answers is its mean an estimate of the divergence of whole answers.
    policy, reference: of a pack the (N, D) states that predict its completion tokens, and what
    makes logits of them. Raises ValueError without completions.
    """
    sums: list[Tensor] = []
    counts: list[Tensor] = []
    for packed in packs:
        (ours, our_logits), (theirs, their_logits) = policy(packed), reference(packed)
        sums.append(packed.sums(kl(ours, theirs, our_logits, their_logits)).double().cpu())
        counts.append(packed.counts.double().cpu())
    if not sums:
        raise ValueError("KL drift needs completions to measure on")
    totals, tokens = torch.cat(sums).numpy(), torch.cat(counts).numpy()
    return Divergence(ratio(totals, tokens), float(totals.mean()), int(tokens.sum()))


def predictions(scorer: LogProbs) -> Predictions:
    """Of a pack the states that predict its completion tokens, and the head behind them."""

    def predict(packed: Pack) -> tuple[Tensor, Logits]:
        states, predictors, _ = scorer.hidden(packed)
        return states[predictors], scorer.logits

    return predict


def k3(policy: Tensor, reference: Tensor) -> Tensor:
    """Schulman's k3 (2020): (r - 1) - log r with r = q / p, (N,); unbiased, never negative.

    policy, reference: (N,) log-probabilities of tokens sampled from the policy.
    """
    log_ratio = reference - policy
    return torch.expm1(log_ratio) - log_ratio
