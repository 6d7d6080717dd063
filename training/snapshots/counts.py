"""What is in a snapshot, counted while it is written."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from annotate.ranking import comparisons
from training.snapshots.aggregation import agreement
from training.snapshots.rows import ChosenTask, Said
from training.snapshots.sides import HELD_OUT, TRAIN

COUNTED = (
    "prompts",
    "tasks",
    "rankings",
    "rows",
    "comparisons",
    "ties",
    "identical",
    "all_bad",
    "demonstrations",
)


@dataclass(slots=True)
class Counts:
    """Fed with one task after the other."""

    sides: dict[str, Counter[str]] = field(
        default_factory=lambda: {TRAIN: Counter(), HELD_OUT: Counter()}
    )
    models: Counter[tuple[str, str]] = field(default_factory=Counter)
    labelers: set[int] = field(default_factory=set)
    rounds: set[int] = field(default_factory=set)
    rankings: list[int] = field(default_factory=list)
    longest_prompt: int = 0
    longest_answer: int = 0
    _prompts: set[int] = field(default_factory=set)
    _several: int = 0
    _alike: int = 0
    _compared: int = 0

    def add(self, task: ChosenTask, said: Sequence[Said], side: str) -> None:
        counter = self.sides[side]
        if task.prompt not in self._prompts:
            self._prompts.add(task.prompt)
            counter["prompts"] += 1
        pairs = [pair.tie for one in said for pair in comparisons(one.judgment)]
        everything = {completion.id for completion in task.completions}
        counter.update(
            tasks=1,
            rankings=len(task.rankings),
            rows=len(said),
            comparisons=pairs.count(False),
            ties=pairs.count(True),
            identical=sum(one.identical for one in task.rankings),
            all_bad=sum(one.judgment.unacceptable == everything for one in said),
            demonstrations=sum(bool(one.demonstration) for one in task.rankings),
        )
        self.models.update((each.model, each.adapter_hash) for each in task.completions)
        self.rounds.add(task.round)
        self.labelers.update(one.labeler for one in task.rankings)
        self.rankings += [one.id for one in task.rankings]
        self.longest_prompt = max(self.longest_prompt, task.prompt_tokens)
        self.longest_answer = max(self.longest_answer, task.answer_tokens)
        alike, compared = agreement([one.judgment for one in task.rankings])
        self._several += len(task.rankings) > 1
        self._alike += alike
        self._compared += compared

    def as_dict(self) -> dict[str, Any]:
        """As JSON, the same for the same tasks. longest: tokens that a prompt had, and that an
        answer was allowed to have.
        """
        return {
            **{side: {name: count[name] for name in COUNTED} for side, count in self.sides.items()},
            "labelers": len(self.labelers),
            "rounds": sorted(self.rounds),
            "models": [
                {"model": model, "adapter_hash": adapter, "completions": count}
                for (model, adapter), count in sorted(self.models.items())
            ],
            "longest": {"prompt": self.longest_prompt, "answer": self.longest_answer},
            "agreement": {
                "tasks": self._several,
                "comparisons": self._compared,
                "alike": self._alike,
                "rate": round(self._alike / self._compared, 4) if self._compared else None,
            },
        }
