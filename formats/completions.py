"""When two completions of a prompt say the same thing.

Decided here alone, without a tokenizer, so that the desk, exports, ratings and training agree:
completions that are alike are tied by themselves, and no pair of them is a preference.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

# Why servers say that an answer ended, when it was for want of tokens.
CUT_OFF = "length"


class Completion(NamedTuple):
    """What a model wrote, and whether it stopped for want of tokens rather than by itself."""

    text: str
    cut_off: bool


def alike(one: Completion, other: Completion) -> bool:
    """The same text but for blanks at the end, both complete or both cut off."""
    return _key(one) == _key(other)


def alike_groups(completions: Sequence[Completion]) -> list[int]:
    """For each completion, the index of the first one that is alike (its own when there is none).

    (K,) -> (K,); equal numbers mean alike.
    """
    first: dict[Completion, int] = {}
    return [first.setdefault(_key(each), place) for place, each in enumerate(completions)]


def any_alike(completions: Iterable[Completion]) -> bool:
    """Whether any two of them are alike."""
    keys = [_key(each) for each in completions]
    return len(set(keys)) < len(keys)


def _key(completion: Completion) -> Completion:
    return Completion(completion.text.rstrip(), completion.cut_off)
