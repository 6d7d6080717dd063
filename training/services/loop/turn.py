"""A step as its stages see it."""

from dataclasses import dataclass
from typing import Any

from training.loop.policy import LoopSettings, read
from training.loop.words import counted, spent
from training.models import (
    Evaluation,
    LoopPolicy,
    LoopStep,
    Promotion,
    Snapshot,
    TrainedAdapter,
    TrainingRun,
)
from training.queries.evaluations import warnings
from training.queries.promotions import current
from training.services.loop.timeline import note


@dataclass(frozen=True, slots=True)
class Turn:
    """settings: the policy's as they were when the step began. actor_id: whom it acts for."""

    step: LoopStep
    settings: LoopSettings
    actor_id: int

    def made(self, text: str, **things: Any) -> None:
        """Keep what a stage made in the step, in the transaction that made it."""
        self.keep(**things)
        note(self.step, text)

    def keep(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self.step, name, value)
        self.step.save(update_fields=list(values))

    @property
    def candidate(self) -> TrainedAdapter:
        """What the step's run, which has finished, left behind."""
        assert self.step.run is not None  # noqa: S101
        return self.step.run.adapter

    @property
    def judge(self) -> TrainedAdapter | None:
        """The reward model; None: nothing judges."""
        return self.step.judge_run.adapter if self.step.judge_run else None

    @property
    def incumbent(self) -> TrainedAdapter | None:
        """What the project's model is now; None: the base."""
        return current(self.step.project_id)


def turn_of(step: LoopStep) -> Turn:
    """Raises training.loop.policy.PolicyError when its settings cannot be read any more."""
    owner_id = step.created_by_id
    if owner_id is None:
        owner_id = LoopPolicy.objects.values_list("owner_id", flat=True).get(
            project_id=step.project_id
        )
    return Turn(step, read(step.settings), owner_id)


def named(adapter: TrainedAdapter | None) -> str:
    """As a sentence names it."""
    return f"adapter {adapter.number}" if adapter else "the base"


def took(thing: Snapshot | TrainingRun | Evaluation | Promotion) -> str:
    """How long it took, once it has ended."""
    assert thing.finished_at is not None  # noqa: S101
    return spent(thing.finished_at - thing.created_at)


def doubted(turn: Turn) -> str:
    """ ", with 2 warnings", or nothing: the gate is never said to be passed without them."""
    assert turn.step.evaluation is not None  # noqa: S101
    found = len(warnings(turn.step.evaluation))
    return f", with {counted(found, 'warning')}" if found else ""
