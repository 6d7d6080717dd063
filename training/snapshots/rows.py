"""A task and what was said of it, as lines of a snapshot's files.

They are what `training.engine` reads. Completions are named by their position; labelers by a
number, because who they are is of no use to a model.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from annotate.ranking import Judgment
from formats.completions import CUT_OFF, Completion
from formats.documents import with_documents
from training.snapshots.aggregation import aggregate
from training.snapshots.spec import Aggregation, SnapshotSpec, Weight

Row = dict[str, Any]

RANKING_COLUMNS = {
    "prompt": "list of {role, content}: what the models were asked",
    "completions": "list of {id, text, model, adapter_hash, finish_reason}",
    "task_id": "integer",
    "prompt_id": "integer",
    "documents_json": "text: JSON list of {title, text}; already part of the prompt",
    "round": "integer",
    "split": "text: train or held_out",
    "labeler": "text: a number for each labeler, or the aggregation's name",
    "tiers": "list of lists of positions in completions, best first, ties inside a tier; identical "
    "answers are tied",
    "strengths": "list of integers between neighbouring tiers: 3 significantly, 2 clearly, "
    "1 slightly, 0 not said",
    "unacceptable": "list of booleans, one a completion",
    "weight": "number: how much the row counts",
    "rankings": "list of integers: the rankings that it was made of",
}
DEMONSTRATION_COLUMNS = {
    "prompt": "list of {role, content}: what the models were asked",
    "completion": "list of one {role, content}: the answer that a labeler wrote or edited",
    "task_id": "integer",
    "prompt_id": "integer",
    "round": "integer",
    "split": "text: train or held_out",
    "labeler": "text: a number for each labeler",
    "ranking": "integer: the ranking that it was given with",
}


class ChosenCompletion(NamedTuple):
    id: int
    text: str
    model: str
    adapter_hash: str
    finish_reason: str

    @property
    def written(self) -> Completion:
        """What was written, to compare it with others."""
        return Completion(self.text, self.finish_reason == CUT_OFF)


@dataclass(frozen=True, slots=True)
class ChosenRanking:
    """judgment: with identical answers tied; identical: how many pairs of them it had ordered.

    demonstration: the better answer that was written with it, "" if none was.
    """

    id: int
    labeler: int
    judgment: Judgment
    demonstration: str = ""
    identical: int = 0


@dataclass(frozen=True, slots=True)
class ChosenTask:
    """messages, documents: of the prompt as it is stored.

    prompt_tokens: of the prompt as the models were asked, in their template. answer_tokens: the
    largest number that sampling allowed.
    """

    id: int
    prompt: int
    round: int
    messages: Sequence[Mapping[str, str]]
    documents: Sequence[Mapping[str, str]]
    completions: Sequence[ChosenCompletion]
    rankings: Sequence[ChosenRanking]
    prompt_tokens: int = 0
    answer_tokens: int = 0


class Said(NamedTuple):
    """What one row says: a judgment, whose it is, how much it counts, what it was made of."""

    judgment: Judgment
    labeler: str
    weight: float
    rankings: list[int]


def said_of(task: ChosenTask, spec: SnapshotSpec) -> list[Said]:
    """One for each ranking, or a single one of all of them."""
    count, per_task = len(task.rankings), spec.weight is Weight.TASK
    if spec.aggregation is Aggregation.EVERY:
        weight = 1 / count if per_task else 1.0
        return [Said(one.judgment, _name(one.labeler), weight, [one.id]) for one in task.rankings]
    joined = aggregate([one.judgment for one in task.rankings], spec.aggregation)
    weight = 1.0 if per_task else float(count)
    return [Said(joined, str(spec.aggregation), weight, [one.id for one in task.rankings])]


def ranking_lines(task: ChosenTask, said: Sequence[Said], split: str) -> Iterator[bytes]:
    """A JSON line for each."""
    places = {completion.id: place for place, completion in enumerate(task.completions)}
    shared: Row = {
        "prompt": with_documents(task.messages, task.documents),
        "completions": [completion._asdict() for completion in task.completions],
        "task_id": task.id,
        "prompt_id": task.prompt,
        "documents_json": orjson.dumps(task.documents).decode(),
        "round": task.round,
        "split": split,
    }
    start = orjson.dumps(shared)[:-1] + b","
    for one in said:
        tiers, bad = one.judgment.tiers, one.judgment.unacceptable
        steps = one.judgment.strengths or (None,) * (len(tiers) - 1)
        row: Row = {
            "labeler": one.labeler,
            "tiers": [sorted(places[completion] for completion in tier) for tier in tiers],
            "strengths": [strength or 0 for strength in steps],
            "unacceptable": [completion in bad for completion in places],
            "weight": one.weight,
            "rankings": one.rankings,
        }
        yield start + orjson.dumps(row)[1:] + b"\n"


def demonstration_lines(task: ChosenTask, split: str) -> Iterator[bytes]:
    """A JSON line for each answer that was written with a ranking."""
    for ranking in task.rankings:
        if ranking.demonstration:
            row: Row = {
                "prompt": with_documents(task.messages, task.documents),
                "completion": [{"role": "assistant", "content": ranking.demonstration}],
                "task_id": task.id,
                "prompt_id": task.prompt,
                "round": task.round,
                "split": split,
                "labeler": _name(ranking.labeler),
                "ranking": ranking.id,
            }
            yield orjson.dumps(row) + b"\n"


def _name(labeler: int) -> str:
    return f"labeler-{labeler}"
