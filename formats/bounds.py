"""How far numbers and texts go that several doors ask for: models, API, policies, forms.

The forms read them from the API's schema (frontend/src/lib/api/bounds.ts, made by `make types`).
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Bound(Generic[Number]):
    """From least to most, both allowed."""

    least: Number
    most: Number

    @property
    def ends(self) -> tuple[Number, Number]:
        return self.least, self.most


K = Bound(2, 9)  # completions of a prompt; digits put them in their places
OVERLAP = Bound(1, 25)  # rankings of a task
SOURCES = Bound(1, 9)  # of a round
WEIGHT = Bound(1, 100)  # of a source among the others
EVALUATED_PROMPTS = Bound(1, 2000)
AB_RANKINGS = Bound(1, 10_000)

TEMPERATURE: Bound[float] = Bound(0, 2)
TOP_P: Bound[float] = Bound(0.01, 1)
MAX_TOKENS = Bound(1, 32_768)

# Characters at most.
TAG = 80  # of a prompt
TEXT = 50_000  # a rationale, a better answer
NOTE = 5_000  # beside a skip or a flag
WHY_UNACCEPTABLE = 2_000
REASON = 2_000  # of a promotion or a way back
WHY_RETRACTED = 1_000
