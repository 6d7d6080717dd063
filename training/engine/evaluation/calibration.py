"""Whether a model that says 80% is right in 80% of the cases.

Its forecast for a pair is σ(score of the winner - score of the loser), as in the Bradley-Terry
model that its loss assumes. The outcome of a tie is one half, as in the loss.
"""

from dataclasses import dataclass

import numpy as np

from training.engine.evaluation.estimates import Floats
from training.engine.evaluation.judged import Judged

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs with a confidence from `low` to `high`: its mean, and the share of right ones."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """error: expected calibration error (Guo et al. 2017, eq. 3). brier: mean squared error of the
    forecast. log_loss: in nats a pair; log 2 = 0.693 is a coin. bins: the reliability table,
    without its empty bins.
    """

    error: float
    brier: float
    log_loss: float
    count: int
    bins: tuple[Bin, ...]


def calibration(judged: Judged, *, bins: int = BINS) -> Calibration | None:
    """Calibration over all pairs, ties included; None without pairs.

    Which of two is named first means nothing, so confidence is that in the one that the model
    prefers, between 1/2 and 1; equal bins divide that range.
    """
    if not len(judged.differences):
        return None
    preferred = np.where(judged.differences < 0, 1 - judged.targets, judged.targets)
    # Without a preference the forecast is right by half, whatever was judged.
    right = np.where(judged.differences == 0, 0.5, preferred)
    sizes = np.abs(judged.differences)
    confidence = 1 / (1 + np.exp(-sizes))
    table = _table(confidence, right, bins)
    count = len(sizes)
    return Calibration(
        error=sum(one.count * abs(one.accuracy - one.confidence) for one in table) / count,
        brier=float(np.mean((confidence - preferred) ** 2)),
        # -log σ(x) = log(1 + e^-x), and of the opposite outcome x more
        log_loss=float(np.mean(np.log1p(np.exp(-sizes)) + (1 - preferred) * sizes)),
        count=count,
        bins=table,
    )


def _table(confidence: Floats, right: Floats, bins: int) -> tuple[Bin, ...]:
    edges = np.linspace(0.5, 1, bins + 1)
    places = np.minimum(((confidence - 0.5) * 2 * bins).astype(np.int64), bins - 1)
    found = []
    for place in np.unique(places):
        inside = places == place
        found.append(
            Bin(
                low=float(edges[place]),
                high=float(edges[place + 1]),
                count=int(inside.sum()),
                confidence=float(confidence[inside].mean()),
                accuracy=float(right[inside].mean()),
            )
        )
    return tuple(found)
