"""What every format is read as: a prompt, its answers, and what was said of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from formats.conversation import Messages
from training.engine.data.report import Refused

HELD_OUT, TRAIN = "held_out", "train"

# Far above and below what people mean, and far from where the losses' 32-bit numbers end.
LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1e6
BAD_WEIGHT = "the weight is not 0 or a number from 0.000001 to 1000000"
NO_WEIGHT = "the weight is 0"
BAD_SPLIT = 'split is neither "train" nor "held_out"'
MISSING = "a column is missing or null"


@dataclass(frozen=True, slots=True)
class Answer:
    """cut_off: sampling ended at a number of tokens, not by the model ending its turn."""

    text: str
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """What one labeler said.

    tiers: positions of answers, best first. strengths: of the steps between tiers, 1 to 3, None
    where not said; () if none is. margin: what a pair asks for itself, in place of its strength's.
    author: what tells whose it is, so that the same one is not taken twice; None if unknown. same:
    of each answer the first one that is alike; () when all are different.
    """

    tiers: tuple[tuple[int, ...], ...]
    strengths: tuple[int | None, ...] = ()
    unacceptable: frozenset[int] = frozenset()
    weight: float = 1.0
    margin: float | None = None
    author: tuple[Any, ...] | None = None
    revision: int = 0
    same: tuple[int, ...] = ()

    def preferred(self, one: int, other: int) -> bool:
        """Whether anything can be said of these two: identical answers are neither better."""
        return not self.same or self.same[one] != self.same[other]


@dataclass(frozen=True, slots=True)
class Example:
    """A row, or a turn of one. where: "file:line". said: None where nothing was compared.

    held_out: by the row's own split; None if it does not tell. desirable: whether a single answer
    was called good; None if nobody said.
    """

    where: str
    prompt: Messages
    answers: tuple[Answer, ...]
    said: Said | None = None
    held_out: bool | None = None
    desirable: bool | None = None


def column(values: Mapping[str, Any], name: str) -> Any:
    """A column that must be there. Raises Refused."""
    if name not in values:
        raise Refused(MISSING, name)
    return values[name]


def weight(values: Mapping[str, Any]) -> float:
    """Raises Refused, for a weight of 0 too: there is nothing to learn from such a row."""
    found = values.get("weight", 1.0)
    if is_amount(found, at_most=MOST_WEIGHT) and found == 0:
        raise Refused(NO_WEIGHT)
    if not is_amount(found, at_least=LEAST_WEIGHT, at_most=MOST_WEIGHT):
        raise Refused(BAD_WEIGHT, repr(found)[:40])
    return float(found)


def is_amount(value: Any, *, at_least: float = 0, at_most: float) -> bool:
    """Whether it is a number between the two, both allowed."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and at_least <= value <= at_most


def held_out(values: Mapping[str, Any]) -> bool | None:
    """Raises Refused for a split that is unknown: it might be one that must not be trained on."""
    split = values.get("split", "")
    if split in ("", TRAIN, HELD_OUT):
        return None if split == "" else split == HELD_OUT
    raise Refused(BAD_SPLIT, repr(split)[:40])
