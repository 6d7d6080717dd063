"""Estimates with intervals.

Whatever was measured on one prompt hangs together, so intervals come
from resampling whole groups, not single pairs or tokens.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Method = Literal["cluster_bootstrap", "wilson"]

LEVEL = 0.95
RESAMPLES = 2000
ENOUGH_GROUPS = 20
_NORMAL_QUANTILE = 1.959963984540054  # of 0.975
_DRAWS_AT_A_TIME = 4_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95% interval.

    count: how many it is the mean of. clusters: from how many prompts or passages these come; one
    alone shows no spread and has no interval.
    """

    value: float
    low: float | None
    high: float | None
    count: float
    clusters: int
    method: Method | None


def proportion(right: Floats, counts: Floats, *, seed: int = 0) -> Estimate | None:
    """A share of right ones: right (G,) out of counts (G,) in each group; None without any.

    Resamples groups (cluster bootstrap, percentiles). With fewer than 20 groups, or when every
    group says the same and resampling would show no doubt, it is Wilson's interval (1927) with the
    number of groups as the sample's size: wider than needed, never too narrow for being dependent.
    """
    right, counts = right[counts > 0], counts[counts > 0]
    if not len(counts):
        return None
    value, groups = float(right.sum() / counts.sum()), len(counts)
    if groups < ENOUGH_GROUPS or np.ptp(right / counts) == 0:
        low, high = wilson(value, groups)
        return Estimate(value, low, high, float(counts.sum()), groups, "wilson")
    return ratio(right, counts, seed=seed)


def ratio(sums: Floats, counts: Floats, *, seed: int = 0) -> Estimate:
    """sum(sums) / sum(counts) with the percentile interval of the cluster bootstrap.

    sums, counts: (G,) of each group, counts above 0. Ratio of resampled sums (Cochran 1977): large
    groups weigh more in each resample as they do in the value. Of fewer than 20 groups the interval
    is somewhat too narrow; of a single one there is none.
    """
    value, groups = float(sums.sum() / counts.sum()), len(counts)
    if groups == 1:
        return Estimate(value, None, None, float(counts.sum()), groups, None)
    rng = np.random.default_rng(seed)
    at_once = max(1, _DRAWS_AT_A_TIME // groups)
    parts = []
    for start in range(0, RESAMPLES, at_once):
        size = min(at_once, RESAMPLES - start)
        times = rng.multinomial(groups, np.full(groups, 1 / groups), size=size)
        parts.append((times @ sums) / (times @ counts))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.concatenate(parts), [tail, 1 - tail])
    return Estimate(
        value, float(low), float(high), float(counts.sum()), groups, "cluster_bootstrap"
    )


def wilson(share: float, size: int) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share of `size` independent trials, 95%."""
    square = _NORMAL_QUANTILE**2
    middle = (share + square / (2 * size)) / (1 + square / size)
    spread = share * (1 - share) / size + square / (4 * size * size)
    half = _NORMAL_QUANTILE * math.sqrt(spread) / (1 + square / size)
    return max(0.0, middle - half), min(1.0, middle + half)


def per_group(values: Floats, codes: NDArray[np.int64], groups: int) -> Floats:
    """Sum (P,) values by group: (groups,)."""
    return np.bincount(codes, weights=values, minlength=groups).astype(np.float64)
