"""Groups through a role, pack by pack under the token budget, and back in their own order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.engine.groups import Group
from training.engine.packing import Pack, pack
from training.engine.plan import packs_of
from training.engine.scorers import Layout
from training.engine.stopping import Stop, end_if_asked

Score = Callable[[Pack], Tensor]


@dataclass(frozen=True)
class Passes:
    """layout: how the base takes groups. budget: tokens of a pack."""

    layout: Layout
    budget: int
    device: torch.device
    stop: Stop

    def batches(self, groups: Sequence[Group]) -> list[tuple[int, ...]]:
        """Indices of the groups of each pack, longest first; unpacked rows are padded."""
        sizes = [
            group.tokens if self.layout == "packed" else len(group.completions) * group.longest
            for group in groups
        ]
        return packs_of(range(len(groups)), sizes, self.budget)

    def pack(self, groups: Sequence[Group]) -> Pack:
        return pack(groups).to(self.device)

    def packs(self, groups: Sequence[Group]) -> Iterator[Pack]:
        """To measure on. Raises Stopped before a pack when the run is to end."""
        for batch in self.batches(groups):
            end_if_asked(self.stop, "while answers were measured")
            yield self.pack([groups[number] for number in batch])

    def tokens(self, groups: Sequence[Group], score: Score) -> list[Tensor]:
        """score: (N,) or (parts, N) of a pack's completion tokens; of each group its own share.

        All on the CPU, in the order of the groups.
        """
        counts = [sum(map(len, group.completions)) for group in groups]
        return self._each(groups, score, counts)

    def answers(self, groups: Sequence[Group], score: Score) -> list[Tensor]:
        """score: (C,) of a pack's completions; of each group its own (K,)."""
        return self._each(groups, score, [len(group.completions) for group in groups])

    def _each(self, groups: Sequence[Group], score: Score, counts: Sequence[int]) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        # Not between these packs: processes have different numbers of them.
        for batch in self.batches(groups):
            with torch.no_grad():
                values = score(self.pack([groups[number] for number in batch])).cpu()
            parts = values.split([counts[number] for number in batch], dim=-1)
            found |= dict(zip(batch, parts, strict=True))
        return [found[number] for number in range(len(groups))]
