"""Which source writes which completion: a fixed, even interleaving of the weights."""

from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=256)
def cycle(weights: tuple[int, ...]) -> tuple[int, ...]:
    """Source indices for one cycle of sum(weights) completions, spread as evenly as they go.

    Smooth weighted round robin: each step everybody gains their weight, the richest is chosen
    and pays the total. (2, 1) gives 0, 1, 0.
    """
    credit = [0] * len(weights)
    total = sum(weights)
    chosen = []
    for _ in range(total):
        credit = [have + weight for have, weight in zip(credit, weights, strict=True)]
        best = max(range(len(weights)), key=lambda index: (credit[index], -index))
        credit[best] -= total
        chosen.append(best)
    return tuple(chosen)


def sources_of(position: int, k: int, weights: Sequence[int]) -> list[int]:
    """The source index of each of the K completions of the task at `position`.

    The same task always gets the same plan, so a job that is run again asks for what is missing.
    """
    plan = cycle(tuple(weights))
    first = position * k
    return [plan[(first + number) % len(plan)] for number in range(k)]
