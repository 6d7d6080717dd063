"""Held-out pairs with what a model says of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.engine.errors import NotFinite
from training.engine.evaluation.estimates import Floats
from training.engine.groups import Tokens
from training.engine.losses.indices import pair_tensors
from training.engine.packing import Pack

Score = Callable[[Pack], Tensor]


@dataclass(frozen=True, eq=False)
class Judged:
    """P pairs on some prompts.

    differences: (P,) score of the winner less that of the loser. targets: (P,) 1, or 0.5 of a tie.
    strengths: (P,) the pair's margin, which the strength of the preference gives; 0 if none was
    told. codes: (P,) the prompt of each, 0 to prompts - 1: groups on the same prompt hang together.
    """

    differences: Floats
    targets: Floats
    strengths: Floats
    codes: NDArray[np.int64]
    prompts: int

    @property
    def strict(self) -> NDArray[np.bool_]:
        """(P,) which are no ties."""
        strict: NDArray[np.bool_] = self.targets != 0.5
        return strict


@torch.no_grad()
def judge(packs: Iterable[Pack], score: Score) -> Judged:
    """Score every completion once and compare it as people did.

    score: (C,) of the completions of a pack: rewards, or implicit rewards beta * (log pi - log
    ref). Raises NotFinite for scores that are not finite.
    """
    parts: list[tuple[Floats, ...]] = []
    numbers: dict[Tokens, int] = {}
    for packed in packs:
        scores = score(packed).double()
        if not scores.isfinite().all():
            keys = ", ".join(group.key for group in packed.groups[:3])
            raise NotFinite(
                f"The model's scores are not finite numbers, for instance around group {keys}."
            )
        pairs = pair_tensors(packed)
        columns = (pairs.differences(scores), pairs.targets, pairs.margins)
        codes = _prompts(packed, numbers)[pairs.winners.cpu().numpy()]
        parts.append((*(column.double().cpu().numpy() for column in columns), codes))
    if not parts:
        empty = np.empty(0)
        return Judged(empty, empty, empty, np.empty(0, dtype=np.int64), 0)
    differences, targets, strengths, codes = map(np.concatenate, zip(*parts, strict=True))
    return Judged(differences, targets, strengths, codes.astype(np.int64), len(numbers))


def implicit_rewards(policy: Score, reference: Score, beta: float) -> Score:
    """The rewards that DPO trains: policy, reference: (N,) log-probabilities of a pack's tokens."""

    def score(packed: Pack) -> Tensor:
        return beta * packed.sums(policy(packed) - reference(packed))

    return score


def _prompts(packed: Pack, numbers: dict[Tokens, int]) -> NDArray[np.int64]:
    """(C,) number of the prompt of each completion; numbers: grows with new prompts."""
    codes = [numbers.setdefault(group.prompt, len(numbers)) for group in packed.groups]
    return np.repeat(codes, [len(group.completions) for group in packed.groups])
