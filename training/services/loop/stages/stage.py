"""What a stage of the loop is: a noun with four verbs, each a function of its file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from training.loop.outcomes import Outcome
from training.loop.policy import LoopSettings
from training.models import LoopStep, Stage
from training.services.loop.turn import Turn

Made = Literal["snapshot", "run", "adapter", "evaluation", "round", "promotion"]


def _nothing(step: LoopStep, actor_id: int) -> None:
    pass


def _always(settings: LoopSettings) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopStage:
    """One stage, as everything that knows all of them goes through it.

    look: finds what the stage made, makes it where it is missing, and says whether to wait, to go
    on or to fail. Its caller holds the step's row in a transaction: a thing and the step's key to
    it are stored together or not at all, so one that is interrupted anywhere makes nothing twice.
    stop: cancels what the stage began and has not ended. mend: lets what failed be tried again.
    wanted: whether a policy has this stage. made: what the stage makes: the name under which the
    step shows its number, and its kind.
    """

    name: Stage
    look: Callable[[Turn], Outcome]
    stop: Callable[[LoopStep, int], None] = _nothing
    mend: Callable[[LoopStep, int], None] = _nothing
    wanted: Callable[[LoopSettings], bool] = _always
    made: Mapping[str, Made] = field(default_factory=dict)
