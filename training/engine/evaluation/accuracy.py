"""How often a model prefers what people preferred."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.engine.evaluation.estimates import Estimate, per_group, proportion
from training.engine.evaluation.judged import Judged


@dataclass(frozen=True, slots=True)
class OfStrength:
    """Accuracy on the pairs of one strength; 0: no strength was told."""

    strength: float
    accuracy: Estimate


def accuracy(judged: Judged, *, seed: int = 0) -> Estimate | None:
    """Share of strict pairs whose winner scores higher; equal scores are half right.

    Ties have no right answer and are left out. Each pair of each ranking counts once. None when
    there is no strict pair.
    """
    return _accuracy(judged, judged.strict, seed)


def accuracy_by_strength(judged: Judged, *, seed: int = 0) -> tuple[OfStrength, ...]:
    """The same for every strength by itself, weakest first: clear preferences should be easier."""
    found = []
    for strength in np.unique(judged.strengths[judged.strict]):
        only = judged.strict & (judged.strengths == strength)
        estimate = _accuracy(judged, only, seed)
        if estimate is not None:
            found.append(OfStrength(float(strength), estimate))
    return tuple(found)


def _accuracy(judged: Judged, chosen: NDArray[np.bool_], seed: int) -> Estimate | None:
    differences, codes = judged.differences[chosen], judged.codes[chosen]
    right = (np.sign(differences) + 1) / 2
    return proportion(
        per_group(right, codes, judged.prompts),
        per_group(np.ones_like(right), codes, judged.prompts),
        seed=seed,
    )
