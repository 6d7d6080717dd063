"""What an export is made of: one prompt, its completions, and what people said about them.

Everything is grouped by task, so that a prompt and a completion are read and encoded once, however
many comparisons name them. The rows are tuples: database rows become them without a copy of each
field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


class ExportedCompletion(NamedTuple):
    """A completion with what made it. Unknown texts are "", unknown numbers None."""

    id: int
    text: str
    model: str = ""
    base: str = ""
    adapter: str = ""
    adapter_hash: str = ""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    finish_reason: str = ""
    tokens: int | None = None
    logprob_sum: float | None = None


class ExportedComparison(NamedTuple):
    """A comparison row: winner and loser are completion ids of the same group."""

    id: int
    winner: int
    loser: int
    tie: bool
    strength: int | None
    winner_unacceptable: bool
    loser_unacceptable: bool


class Rating(NamedTuple):
    axis: str
    completion: int
    value: int


@dataclass(slots=True)
class ExportedRanking:
    """One labeler's ranking. Completions are named by id everywhere.

    comparisons: needed by the preference exports only.
    The fields after it: needed by the ranking exports only.
    """

    id: int
    labeler: str
    comparisons: Sequence[ExportedComparison] = ()
    tiers: Sequence[Sequence[int]] = ()
    strengths: Sequence[int | None] = ()
    unacceptable: Mapping[int, str] = field(default_factory=dict)
    shown: Sequence[int] = ()
    ratings: Sequence[Rating] = ()
    tags: Sequence[str] = ()
    rationale: str = ""
    active_ms: int | None = None
    created_at: datetime | None = None
    revision: int = 1
    counted: bool = True


@dataclass(slots=True)
class TaskGroup:
    """One prompt with its K completions and every ranking of them.

    messages: [{"role": …, "content": …}], documents: [{"title": …, "text": …}].
    """

    task_id: int
    prompt_id: int
    external_id: str
    round: int
    split: str
    messages: Sequence[Mapping[str, str]]
    documents: Sequence[Mapping[str, str]]
    completions: Sequence[ExportedCompletion]
    rankings: Sequence[ExportedRanking]
