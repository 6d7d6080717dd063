"""Which prompts are nearly the same, so that a split does not tear them apart.

Two prompts are near-duplicates when their normalised texts are the same, or share at least
THRESHOLD of their shingles (runs of SHINGLE words; the Jaccard index). What may be near is found by
MinHash: BANDS bands of ROWS minima each, prompts that agree in a band are compared exactly. Of two
prompts as near as the threshold about one pair in 2,000 is missed.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

THRESHOLD = 0.8
SHINGLE = 3
BANDS, ROWS = 20, 5

Numbers = npt.NDArray[np.uint64]

_NO_WORD = re.compile(r"[^\w]+|_+")
_PRIME = (1 << 31) - 1
_RANDOM = np.random.default_rng(20_260_101)
_FACTORS = _RANDOM.integers(1, _PRIME, BANDS * ROWS, dtype=np.uint64)
_OFFSETS = _RANDOM.integers(0, _PRIME, BANDS * ROWS, dtype=np.uint64)


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
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for prompt, text in texts:
        groups.add(prompt)
        same = known.setdefault(blake2b(text.encode(), digest_size=16).digest(), prompt)
        if same != prompt:
            groups.join(prompt, same)
            continue
        shingles[prompt] = _shingles(text)
        for key in _bands(shingles[prompt]):
            for other in buckets[key]:
                if groups.of(prompt) != groups.of(other) and _near(
                    shingles[prompt], shingles[other]
                ):
                    groups.join(prompt, other)
            buckets[key].append(prompt)
    return {prompt: groups.of(prompt) for prompt in groups.parents}


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
    """Sorted, distinct: a number below _PRIME for each run of words; a shorter text is one run."""
    words = text.split()
    runs = {
        " ".join(words[start : start + SHINGLE])
        for start in range(max(1, len(words) - SHINGLE + 1))
    }
    numbers = [
        int.from_bytes(blake2b(run.encode(), digest_size=8).digest(), "big") % _PRIME
        for run in runs
    ]
    return np.unique(np.array(numbers, np.uint64))


def _bands(shingles: Numbers) -> Iterator[tuple[int, bytes]]:
    # Both factors are below 2^31, so nothing overflows.
    hashes = (shingles[:, None] * _FACTORS + _OFFSETS) % _PRIME
    minima = hashes.min(axis=0).reshape(BANDS, ROWS)
    for band, values in enumerate(minima):
        yield band, values.tobytes()


def _near(one: Numbers, other: Numbers) -> bool:
    if min(one.size, other.size) < THRESHOLD * max(one.size, other.size):
        return False
    shared = np.intersect1d(one, other, assume_unique=True).size
    return bool(shared >= THRESHOLD * (one.size + other.size - shared))
