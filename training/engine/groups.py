"""What the engine trains on: a prompt, K completions, and what people said of them.

Everything is token ids and numbers by now; `training.engine.data` makes these from files.
"""

from dataclasses import dataclass

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """One comparison of two completions of a group, by their indices.

    target: probability that `winner` is the better one: 1, or 0.5 of a tie. margin: what the
    winner's score is to exceed the loser's by, 0 or more (Llama 2, eq. 2).
    """

    winner: int
    loser: int
    target: float = 1.0
    margin: float = 0.0


@dataclass(frozen=True, slots=True)
class Ranking:
    """What one labeler said of a group: tiers best first, ties inside a tier.

    pairs: the comparisons that it implies for the method in hand. weight: how much it counts.
    unacceptable: what the labeler marked so. barred: what no loss may choose before others, the
    unacceptable ones where the data settings leave out what they win.
    """

    tiers: tuple[tuple[int, ...], ...]
    pairs: tuple[Pair, ...]
    weight: float = 1.0
    unacceptable: frozenset[int] = frozenset()
    barred: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Group:
    """A prompt with its K completions, each encoded once however many rankings and pairs there are.

    prompt: token ids up to and with the opening of the assistant's turn. completions: token ids of
    each, ending with the end of the turn. key: names it in messages and in tables of scores.
    """

    key: str
    prompt: Tokens
    completions: tuple[Tokens, ...]
    rankings: tuple[Ranking, ...] = ()

    @property
    def tokens(self) -> int:
        """How many tokens a packed forward of the group encodes."""
        return len(self.prompt) + sum(map(len, self.completions))

    @property
    def longest(self) -> int:
        """Tokens of the prompt with the longest completion."""
        return len(self.prompt) + max(map(len, self.completions))

    @property
    def weight(self) -> float:
        return sum(ranking.weight for ranking in self.rankings)
