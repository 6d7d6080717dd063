"""Groups with known rankings, and models that give known scores, for the tests of evaluation."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from training.engine.groups import Group, Pair, Ranking
from training.engine.packing import Pack, pack


def ranking(
    *tiers: tuple[int, ...], strengths: dict[tuple[int, int], float] | None = None
) -> Ranking:
    """All pairs of the tiers, ties as soft labels."""
    margins = strengths or {}
    pairs = [
        Pair(one, other, 0.5 if upper == lower else 1.0, margins.get((one, other), 0.0))
        for upper, tier in enumerate(tiers)
        for lower, below in enumerate(tiers)
        for one in tier
        for other in below
        if upper < lower or (upper == lower and one < other)
    ]
    return Ranking(tiers, tuple(pairs))


def group(number: int, size: int, *rankings: Ranking, prompt: int | None = None) -> Group:
    """Completions of 1, 2, 3, ... tokens."""
    completions = tuple((7,) * (length + 1) for length in range(size))
    return Group(f"g{number}", (1, number if prompt is None else prompt), completions, rankings)


def scores(*values: float) -> Callable[[Pack], Tensor]:
    """A model that gives these scores to the completions of the only pack."""

    def score(packed: Pack) -> Tensor:
        assert packed.completions == len(values)
        return torch.tensor(values)

    return score


def one_pack(groups: Sequence[Group]) -> list[Pack]:
    return [pack(groups)]
