"""Which groups make a step, and how a step is cut into packs under a token budget.

A step is a fixed number of groups, drawn without replacement epoch by epoch: the budget decides
how much is encoded at a time, never what is learned. All of it follows from the seed and the step's
number, so a run that resumes at step n goes on as if it had not stopped.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Packs = tuple[tuple[int, ...], ...]
# Packs that may still be filled: all of them, of a hundred thousand groups, would take hours.
OPEN_PACKS = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run goes over its groups.

    sizes: tokens of each group. ranks: how many processes share a step; each gets as many packs as
    the others, because they exchange gradients, and sharded weights, pack by pack.
    """

    sizes: tuple[int, ...]
    groups_per_step: int
    tokens_per_pack: int
    steps: int
    seed: int
    ranks: int = 1

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.sizes) / self.groups_per_step)

    def groups(self, step: int) -> list[int]:
        """Indices of the groups of a step, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = _order(len(self.sizes), self.seed, epoch)
        return order[place * self.groups_per_step : (place + 1) * self.groups_per_step]

    def used(self) -> list[int]:
        """Indices of all groups that some step takes, in order: few steps do not reach all."""
        if self.steps >= self.steps_per_epoch:
            return list(range(len(self.sizes)))
        return sorted(number for step in range(self.steps) for number in self.groups(step))

    def packs(self, step: int, rank: int = 0) -> Packs:
        """What one process encodes in a step, pack by pack, longest groups first.

        A pack may be empty when there are more processes than groups.
        """
        shares = _shares(self.groups(step), self.sizes, self.ranks)
        cut = [packs_of(share, self.sizes, self.tokens_per_pack) for share in shares]
        most = max(map(len, cut))
        mine = cut[rank]
        return tuple(mine) + ((),) * (most - len(mine))


def whole_steps(groups: int, groups_per_step: int, epochs: float | None, most: int | None) -> int:
    """How many steps a run has: by epochs, by a maximum, or by what comes first.

    The last step of an epoch may hold fewer groups than the others: `epochs` passes over all of
    them take so many times the steps of one.
    """
    an_epoch = math.ceil(groups / groups_per_step)
    # Rounded: 0.1 x 30 is a little above 3 in floating point.
    by_epochs = math.ceil(round(epochs * an_epoch, 6)) if epochs is not None else most
    steps = by_epochs if most is None or by_epochs is None else min(by_epochs, most)
    return max(1, steps or 1)


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> list[int]:
    shuffled: list[int] = np.random.default_rng((seed, epoch)).permutation(count).tolist()
    return shuffled


def _shares(groups: Sequence[int], sizes: Sequence[int], ranks: int) -> list[list[int]]:
    """Longest first, each to whom has least."""
    shares: list[list[int]] = [[] for _ in range(ranks)]
    loads = [0] * ranks
    for group in sorted(groups, key=lambda one: (-sizes[one], one)):
        least = loads.index(min(loads))
        shares[least].append(group)
        loads[least] += sizes[group]
    return shares


def packs_of(groups: Iterable[int], sizes: Sequence[int], budget: int) -> list[tuple[int, ...]]:
    """First fit, longest first; a group above the budget makes a pack of its own.

    groups: indices into `sizes`, which has the tokens of each.
    """
    packs: list[list[int]] = []
    room: list[int] = []
    for group in sorted(groups, key=lambda one: (-sizes[one], one)):
        size = sizes[group]
        open_ = range(max(0, len(packs) - OPEN_PACKS), len(packs))
        fitting = next((n for n in open_ if room[n] >= size), None)
        if fitting is None:
            packs.append([group])
            room.append(budget - size)
        else:
            packs[fitting].append(group)
            room[fitting] -= size
    return [tuple(one) for one in packs]
