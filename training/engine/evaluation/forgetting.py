"""Forgetting: how much worse an adapter predicts text that it was not trained to prefer.

Perplexity on general text and on held-out demonstrations, of the adapter and of the base, on the
same tokens.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.engine.errors import NotFinite
from training.engine.evaluation.estimates import Estimate, ratio
from training.engine.groups import Group, Tokens
from training.engine.packing import Pack

MOST_NATS = 700.0

TokenLogProbs = Callable[[Pack], Tensor]


@dataclass(frozen=True, slots=True)
class Perplexity:
    """tokens: how many were predicted. nll: mean negative log-likelihood, nats a token.

    perplexity: e^nll, None beyond what a number holds, as of a model that has collapsed.
    """

    tokens: int
    nll: float
    perplexity: float | None


@dataclass(frozen=True, slots=True)
class Forgetting:
    """difference: nats a token by which the adapter's nll exceeds the base's, with an interval over
    passages; above 0 it has forgotten. ratio: adapter's perplexity over the base's.
    """

    adapter: Perplexity
    base: Perplexity
    difference: Estimate
    ratio: float | None


def passages_of(text: str, tokenizer: Any) -> list[Group]:
    """Plain text as passages, each of which begins as the tokenizer begins a text.

    Models that were trained with a first token (Gemma, Llama) predict badly without it. Raises
    ValueError for a text of fewer than two tokens.
    """
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return passages(ids, begin=beginning(tokenizer))


def beginning(tokenizer: Any) -> Tokens:
    """The tokens that the tokenizer itself puts in front of a text; () if it puts none."""
    bare, whole = (
        tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True)
    )
    most = len(whole) - len(bare)
    places = (n for n in range(most + 1) if whole[n : n + len(bare)] == bare)
    return tuple(whole[: next(places, 0)])


def passages(tokens: Sequence[int], *, begin: Sequence[int] = (), length: int = 512) -> list[Group]:
    """Cut plain text into passages of `length` tokens, as groups of one completion.

    begin: what stands before each, and counts in its length. Without it the first token of each is
    its prompt. All others are predicted from those before them in the passage; a last passage with
    nothing to predict is left out. Raises ValueError for fewer than two tokens.
    """
    if length < 2 or len(tokens) < 2:
        raise ValueError("a passage needs two tokens or more: one to start from, one to predict")
    size = max(length - len(begin), 1)
    given = 0 if begin else 1  # tokens of the text itself that are not predicted
    return [
        Group(
            f"text-{start}",
            (*begin, *tokens[start : start + given]),
            (tuple(tokens[start + given : start + size]),),
        )
        for start in range(0, len(tokens) - given, size)
    ]


@torch.no_grad()
def forgetting(packs: Iterable[Pack], adapter: TokenLogProbs, base: TokenLogProbs) -> Forgetting:
    """Compare the two on the completions of the packs, pack by pack.

    adapter, base: (N,) log-probabilities of a pack's completion tokens. Raises ValueError when
    there is nothing to predict, NotFinite when a log-probability is not finite.
    """
    sums: list[np.ndarray[tuple[int, int], np.dtype[np.float64]]] = []
    for packed in packs:
        columns = (
            -packed.sums(adapter(packed).double()),
            -packed.sums(base(packed).double()),
            packed.counts.double(),
        )
        sums.append(torch.stack(columns, dim=1).cpu().numpy())
    if not sums:
        raise ValueError("no text to measure forgetting on")
    table = np.concatenate(sums)
    if not np.isfinite(table).all():
        raise NotFinite(
            "A log-probability is not a finite number.",
            advice="Lower optimizer.lr and start a new run, or hold the base in other precision "
            "(base.precision).",
        )
    ours, theirs, counts = table.T
    tokens = int(counts.sum())
    difference = ratio(ours - theirs, counts)
    return Forgetting(
        adapter=_perplexity(ours.sum(), tokens),
        base=_perplexity(theirs.sum(), tokens),
        difference=difference,
        ratio=_exp(difference.value),
    )


def _perplexity(negative_log_likelihood: float, tokens: int) -> Perplexity:
    nll = float(negative_log_likelihood) / tokens
    return Perplexity(tokens, nll, _exp(nll))


def _exp(nats: float) -> float | None:
    return math.exp(nats) if nats < MOST_NATS else None
