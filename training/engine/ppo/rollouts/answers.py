"""Answers, and what samples them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from training.engine.groups import Tokens


@dataclass(frozen=True, slots=True)
class Answer:
    """tokens: with the one that ended it, if one did. finished: whether one did; else it was cut.

    logprobs: of each token, as whoever sampled it says: at the temperature of sampling, or at 1.
    """

    tokens: Tokens
    finished: bool
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """From the plain distribution: no top-p, top-k or penalties, which a trainer cannot repeat.

    ends: tokens that end an answer. pad: fills batches up; it may be one of the ends.
    """

    samples: int
    max_new_tokens: int
    temperature: float
    ends: Tokens
    pad: int


class Sampler(Protocol):
    """A policy that answers prompts."""

    @property
    def overlaps(self) -> bool:
        """Whether it goes on sampling from what was published while the actor is trained."""

    def publish(self) -> None:
        """Answer as the actor is now, from the next `sample` on. All processes have to call."""

    def sample(self, prompts: Sequence[Tokens], seed: int) -> list[tuple[Answer, ...]]:
        """`samples` answers to each prompt, in order."""

    def close(self) -> None:
        """Leave nothing behind."""
