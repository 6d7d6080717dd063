"""Which prompts are nearly the same, so that a split does not tear them apart.

Two prompts are near-duplicates when their normalised texts are the same, or share at least PERCENT
of their shingles (runs of SHINGLE words; the Jaccard index). The search is exact, by prefix filter:
with every prompt's shingles in one order, the rarest first, two that share so many share one of
their first ones. So prompts from a common template are not all compared with each other.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

PERCENT = 80
SHINGLE = 3

Numbers = npt.NDArray[np.uint64]

_NO_WORD = re.compile(r"[^\w]+|_+")


def text_of(messages: Sequence[Mapping[str, str]], documents: Sequence[Mapping[str, str]]) -> str:
    """What of a prompt is compared: its turns and documents, normalised.

    System messages are left out: many prompts share a long one.
    """
    parts = [turn["content"] for turn in messages if turn["role"] != "system"]
    parts += [document["text"] for document in documents]
    folded = unicodedata.normalize("NFKC", "\n".join(parts)).casefold()
    # A text of signs only is compared as it is.
    return " ".join(_NO_WORD.sub(" ", folded).split()) or folded


def near_duplicates(texts: Iterable[tuple[int, str]]) -> dict[int, int]:
    """(prompt, its `text_of`) -> the group of each prompt, named by the smallest prompt in it."""
    groups = _Groups()
    known: dict[bytes, int] = {}
    shingles: dict[int, Numbers] = {}
    for prompt, text in texts:
        groups.add(prompt)
        same = known.setdefault(blake2b(text.encode(), digest_size=16).digest(), prompt)
        if same == prompt:
            shingles[prompt] = _shingles(text)
        else:
            groups.join(prompt, same)
    _join_near(groups, shingles)
    return {prompt: groups.of(prompt) for prompt in groups.parents}


def _join_near(groups: "_Groups", shingles: Mapping[int, Numbers]) -> None:
    @cache
    def whole(prompt: int) -> frozenset[int]:
        return frozenset(shingles[prompt].tolist())

    having: dict[int, list[int]] = defaultdict(list)
    for prompt, first in _first_ones(shingles):
        met = {other for shingle in first for other in having[shingle]}
        for other in met:
            if groups.of(prompt) != groups.of(other) and _near(whole(prompt), whole(other)):
                groups.join(prompt, other)
        for shingle in first:
            having[shingle].append(prompt)


def _first_ones(shingles: Mapping[int, Numbers]) -> Iterator[tuple[int, list[int]]]:
    """Of each prompt as many of its rarest shingles as may be missing in a near one, and one."""
    if not shingles:
        return
    every, times = np.unique(np.concatenate(list(shingles.values())), return_counts=True)
    for prompt, own in shingles.items():
        order = np.lexsort((own, times[np.searchsorted(every, own)]))
        yield prompt, own[order][: own.size * (100 - PERCENT) // 100 + 1].tolist()


class _Groups:
    """Sets that are joined (union-find); each is named by its smallest member."""

    def __init__(self) -> None:
        self.parents: dict[int, int] = {}

    def add(self, one: int) -> None:
        self.parents.setdefault(one, one)

    def of(self, one: int) -> int:
        while (parent := self.parents[one]) != one:
            self.parents[one] = self.parents[parent]
            one = parent
        return one

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.of(one), self.of(other)))
        self.parents[second] = first


def _shingles(text: str) -> Numbers:
    """A number for each run of words, sorted and distinct; a shorter text is one run."""
    words = text.split()
    runs = {
        " ".join(words[start : start + SHINGLE])
        for start in range(max(1, len(words) - SHINGLE + 1))
    }
    digests = b"".join(blake2b(run.encode(), digest_size=8).digest() for run in runs)
    return np.unique(np.frombuffer(digests, "<u8").astype(np.uint64))


def _near(one: frozenset[int], other: frozenset[int]) -> bool:
    shared = len(one & other)
    return 100 * shared >= PERCENT * (len(one) + len(other) - shared)
