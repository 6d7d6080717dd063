"""Rankings as index tensors, so that a loss is computed over a whole pack at once.

Completions are numbered as in a Pack: in order over its groups. The weights make a sum over all
terms equal to "sum over rankings of its weight times the mean over its terms"; divided by the
weight of all rankings of a step this is the step's loss, and with one ranking of weight 1 the mean
over its pairs, as of expanded pairs.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from training.engine.groups import Group, Ranking
from training.engine.packing import Pack


@dataclass(frozen=True, eq=False)
class Pairs:
    """P comparisons among C completions.

    winners, losers: (P,) indices. targets: (P,) probability that the winner is the better one, 1 or
    0.5 of a tie. margins: (P,) of Llama 2, eq. 2. weights: (P,) of each in the sum.
    """

    winners: Tensor
    losers: Tensor
    targets: Tensor
    margins: Tensor
    weights: Tensor

    @property
    def strict(self) -> Tensor:
        """(P,) whether one was judged better: no tie."""
        return self.targets != 0.5

    def differences(self, values: Tensor) -> Tensor:
        """(P,) values of the winners less those of the losers; values: (C,)."""
        return values[self.winners] - values[self.losers]


@dataclass(frozen=True, eq=False)
class Choices:
    """M choices of one completion from a set, as Plackett-Luce takes a ranking apart.

    chosen: (M,) indices. members: (M, W) indices of the sets, the chosen one first. present: (M, W)
    which entries of `members` count; the rest are padding. weights: (M,) of each in the sum.
    """

    chosen: Tensor
    members: Tensor
    present: Tensor
    weights: Tensor


def pair_tensors(source: Group | Pack) -> Pairs:
    """The pairs of all rankings, on the device of a pack (of a group: the CPU)."""
    winners: list[int] = []
    losers: list[int] = []
    targets: list[float] = []
    margins: list[float] = []
    weights: list[float] = []
    for first, ranking in _rankings(source):
        for pair in ranking.pairs:
            winners.append(first + pair.winner)
            losers.append(first + pair.loser)
            targets.append(pair.target)
            margins.append(pair.margin)
            weights.append(ranking.weight / len(ranking.pairs))
    device = _device(source)
    return Pairs(
        torch.tensor(winners, dtype=torch.long, device=device),
        torch.tensor(losers, dtype=torch.long, device=device),
        torch.tensor(targets, dtype=torch.float32, device=device),
        torch.tensor(margins, dtype=torch.float32, device=device),
        torch.tensor(weights, dtype=torch.float32, device=device),
    )


def choice_tensors(source: Group | Pack) -> Choices:
    """The choices of all rankings, on the device of a pack (of a group: the CPU)."""
    sets: list[list[int]] = []
    weights: list[float] = []
    for first, ranking in _rankings(source):
        found = choices(ranking.tiers, ranking.barred)
        sets += [[first + member for member in one] for one in found]
        weights += [ranking.weight / len(found) for _ in found]
    return padded(sets, weights, _device(source))


def choices(tiers: tuple[tuple[int, ...], ...], barred: Collection[int] = ()) -> list[list[int]]:
    """Of tiers, best first: every completion with all that stand in lower tiers, itself first.

    Completions of the last tier have no rival and make no choice; of one tier alone there is none.
    barred: completions that are never chosen, and are rivals like the others.
    """
    sets: list[list[int]] = []
    for place, tier in enumerate(tiers[:-1]):
        below = [member for lower in tiers[place + 1 :] for member in lower]
        sets += [[member, *below] for member in tier if member not in barred]
    return sets


def padded(sets: list[list[int]], weights: list[float], device: torch.device) -> Choices:
    """Sets of indices as one matrix; see Choices."""
    width = max(map(len, sets), default=1)
    members = [one + [one[0]] * (width - len(one)) for one in sets]
    lengths = torch.tensor([len(one) for one in sets], dtype=torch.long, device=device)
    matrix = torch.tensor(members, dtype=torch.long, device=device).reshape(len(sets), width)
    return Choices(
        chosen=matrix[:, 0],
        members=matrix,
        present=torch.arange(width, device=device) < lengths[:, None],
        weights=torch.tensor(weights, dtype=torch.float32, device=device),
    )


def pair_weight(source: Group | Pack) -> float:
    """Weight of the rankings that have pairs: what a step's sum of pair losses is divided by.

    A ranking that is left without pairs (all ties, and ties are dropped) counts for nothing.
    """
    return sum(ranking.weight for _, ranking in _rankings(source) if ranking.pairs)


def choice_weight(source: Group | Pack) -> float:
    """Weight of the rankings that have choices: the same for `choice_tensors`."""
    return sum(
        ranking.weight for _, ranking in _rankings(source) if choices(ranking.tiers, ranking.barred)
    )


def _rankings(source: Group | Pack) -> Iterator[tuple[int, Ranking]]:
    """Each ranking with the number that its group's first completion has."""
    first = 0
    for group in source.groups if isinstance(source, Pack) else (source,):
        for ranking in group.rankings:
            yield first, ranking
        first += len(group.completions)


def _device(source: Group | Pack) -> torch.device:
    return source.ends.device if isinstance(source, Pack) else torch.device("cpu")
