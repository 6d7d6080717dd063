"""How far the numbers of sampling go, wherever somebody asks for them: forms, API, policies.

The forms have them in frontend/src/lib/bounds.ts; a test holds the two together.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """From least to most, both allowed."""

    least: float
    most: float


TEMPERATURE = Bound(0, 2)
TOP_P = Bound(0.01, 1)
MAX_TOKENS = Bound(1, 32_768)
EVALUATED_PROMPTS = Bound(1, 2000)
