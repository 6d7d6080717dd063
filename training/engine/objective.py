"""What is minimised: a scorer that says something of a pack, and a loss on what it said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from training.engine.groups import Group
from training.engine.packing import Pack

Mean = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Outcome:
    """loss: sum over a pack's rankings of weight times loss, not yet divided by the step's weight.

    metrics: sum and count of each, to be added up over packs and processes.
    """

    loss: Tensor
    metrics: dict[str, Mean]


class Objective(Protocol):
    """A method: DPO, a reward model."""

    @property
    def scorer(self) -> nn.Module:
        """What is trained; of a pack it returns what the objective takes."""

    def __call__(self, scores: Tensor, packed: Pack) -> Outcome:
        """The loss of what `scorer(packed)` returned."""

    def weight(self, groups: Sequence[Group]) -> float:
        """What the losses of these groups are divided by, together."""


class Totals:
    """Metrics of a step, added up over its packs."""

    def __init__(self) -> None:
        self._sums: dict[str, Mean] = {}

    def add(self, metrics: dict[str, Mean], factor: float = 1.0) -> None:
        """Factor 0 for a pack that stands in for none: every process has the same metrics."""
        for name, (total, count) in metrics.items():
            before = self._sums.get(name, (0.0, 0.0))
            self._sums[name] = (
                before[0] + factor * total.detach(),
                before[1] + factor * count.detach(),
            )

    def sums(self) -> dict[str, Mean]:
        return dict(self._sums)
