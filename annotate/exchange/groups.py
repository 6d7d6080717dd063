"""What an export is made of: one prompt, its completions, and what people said about them.

Everything is grouped by task, so that a prompt and a completion are read and encoded once, however
many comparisons name them. Comparisons and completions are tuples, so that database rows become
them without copying field by field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from formats.completions import CUT_OFF, Completion


class ExportedCompletion(NamedTuple):
    """A completion with what made it. An unknown text is "".

    logprob_sum: natural log over the completion, 0.0 when the server did not give it.
    """

    id: int
    text: str
    model: str
    adapter_hash: str = ""
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 0
    finish_reason: str = ""
    tokens: int = 0
    logprob_sum: float = 0.0

    @property
    def cut_off(self) -> bool:
        """Whether it ended at max_tokens, not by the model ending its turn."""
        return self.finish_reason == CUT_OFF

    @property
    def written(self) -> Completion:
        """What was written, to compare it with others."""
        return Completion(self.text, self.cut_off)


# id, winner, loser, tie, strength, winner_unacceptable, loser_unacceptable: completions by id, the
# rest as in annotate.ranking. A plain tuple, because an export reads a million of them.
ExportedComparison = tuple[int, int, int, bool, int | None, bool, bool]


@dataclass(slots=True)
class ExportedRanking:
    """One labeler's ranking; completions are named by id everywhere.

    The preference exports need `comparisons` only, the ranking exports all the others.
    unacceptable: completion id -> reason. ratings: axis -> completion id as text -> value.
    shown: completion ids in the order in which the labeler saw them.
    could_look: as in `annotate.models.Ranking`.
    """

    id: int
    labeler: str
    comparisons: Sequence[ExportedComparison] = ()
    tiers: Sequence[Sequence[int]] = ()
    strengths: Sequence[int | None] = ()
    unacceptable: Mapping[int, str] = field(default_factory=dict)
    shown: Sequence[int] = ()
    ratings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tags: Sequence[str] = ()
    rationale: str = ""
    active_ms: int = 0
    created_at: datetime | None = None
    revision: int = 1
    counted: bool = True
    could_look: bool | None = None


@dataclass(slots=True)
class TaskGroup:
    """One prompt with its K completions and every ranking of them.

    messages: [{"role", "content"}] as the models were asked. documents: [{"title", "text"}].
    """

    task_id: int
    prompt_id: int
    external_id: str
    round: int
    split: str
    messages: Sequence[Mapping[str, str]]
    completions: Sequence[ExportedCompletion]
    rankings: Sequence[ExportedRanking]
    documents: Sequence[Mapping[str, str]] = ()
