"""The groups of the tests: two rankings with ties of different lengths, of random tokens."""

import torch

from tests.training.tiny import VOCABULARY
from training.engine.groups import Group, Pair, Ranking


def tokens(count: int, seed: int) -> tuple[int, ...]:
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(5, VOCABULARY, (count,), generator=draw).tolist())


def ranking(*tiers: tuple[int, ...], weight: float = 1.0) -> Ranking:
    """Tiers with the pairs that they imply: strict ones, and ties with target 0.5."""
    pairs = []
    for place, tier in enumerate(tiers):
        below = [member for lower in tiers[place + 1 :] for member in lower]
        pairs += [Pair(winner, loser) for winner in tier for loser in below]
        pairs += [Pair(a, b, target=0.5) for n, a in enumerate(tier) for b in tier[n + 1 :]]
    return Ranking(tiers, tuple(pairs), weight)


def two_groups() -> list[Group]:
    """K = 4 with a tie, and K = 3 judged by two labelers."""
    first = Group(
        "first",
        tokens(9, 1),
        (tokens(5, 2), tokens(12, 3), tokens(1, 4), tokens(7, 5)),
        (ranking((2,), (0, 1), (3,)),),
    )
    second = Group(
        "second",
        tokens(4, 6),
        (tokens(6, 7), tokens(3, 8), tokens(8, 9)),
        (ranking((1,), (0,), (2,)), ranking((0,), (1, 2), weight=2.0)),
    )
    return [first, second]
