"""Rewards on a scale of their own: mean 0 and deviation 1 for what the reference says.

Reward models say differences only: their zero and their unit are whatever training left. Measured
once, on answers of the reference before the first step (Ziegler et al. 2019, section 2.1), so that
the coefficient of the divergence means the same with every reward model.
"""

from dataclasses import asdict, dataclass

from torch import Tensor

from training.engine.ppo.advantages import Sum, alone, moments


@dataclass(frozen=True, slots=True)
class Scale:
    """clip: scaled rewards beyond ± clip are cut to it; None leaves them."""

    mean: float = 0.0
    deviation: float = 1.0
    clip: float | None = None

    @classmethod
    def of(cls, rewards: Tensor, clip: float | None, total: Sum = alone) -> "Scale":
        """rewards: (C,) of the reference's answers. Equal ones are shifted, not stretched."""
        found = moments(rewards, total)
        spread = found.deviation if found.variance > 1e-8 else 1.0
        return cls(found.mean, spread, clip)

    def __call__(self, rewards: Tensor) -> Tensor:
        """(C,) -> (C,)"""
        scaled = (rewards - self.mean) / self.deviation
        return scaled if self.clip is None else scaled.clamp(-self.clip, self.clip)

    def to_json(self) -> dict[str, float | None]:
        return asdict(self)


def with_missing_ends(scores: Tensor, finished: Tensor, penalty: float) -> Tensor:
    """An answer that was cut off loses `penalty`: nobody saw its end, the reward model neither.

    scores: (C,); finished: (C,) booleans.
    """
    return scores - penalty * (~finished).to(scores.dtype)
