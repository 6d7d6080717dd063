"""What every format is read as: a prompt, its answers, and what was said of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from formats.conversation import Messages
from training.engine.data.report import Refused

HELD_OUT, TRAIN = "held_out", "train"

BAD_WEIGHT = "the weight is not a number of 0 or more"
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
    if not is_amount(found):
        raise Refused(BAD_WEIGHT, repr(found)[:40])
    if found == 0:
        raise Refused(NO_WEIGHT)
    return float(found)


def is_amount(value: Any) -> bool:
    """Whether it is a finite number of 0 or more."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0


def held_out(values: Mapping[str, Any]) -> bool | None:
    """Raises Refused for a split that is unknown: it might be one that must not be trained on."""
    split = values.get("split", "")
    if split in ("", TRAIN, HELD_OUT):
        return None if split == "" else split == HELD_OUT
    raise Refused(BAD_SPLIT, repr(split)[:40])
