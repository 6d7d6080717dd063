"""The stages of a loop step, one a file, and the order in which a step goes through them."""

from collections.abc import Mapping
from typing import Any, get_args

from training.loop.policy import LoopSettings, PolicyError, read
from training.models import Stage
from training.services.loop.stages import (
    evaluate,
    gate,
    judge,
    next_round,
    people,
    promote,
    snapshot,
    train,
)
from training.services.loop.stages.stage import LoopStage, Made

FLOW = (
    snapshot.STAGE,
    judge.STAGE,
    train.STAGE,
    evaluate.STAGE,
    gate.STAGE,
    people.STAGE,
    promote.STAGE,
    next_round.STAGE,
)
KINDS: tuple[str, ...] = get_args(Made)
BY_NAME = {stage.name: stage for stage in FLOW}


def after(name: Stage, settings: LoopSettings) -> LoopStage:
    """What comes after a stage that ended well: the next one that the policy wants.

    The last stage ends every step, whether the policy wants a next round or not.
    """
    rest = FLOW[FLOW.index(BY_NAME[name]) + 1 :]
    return next((stage for stage in rest if stage.wanted(settings)), FLOW[-1])


def flow_of(step: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All stages in their order, and what a step made in each. step: as its page shows it."""
    return [
        {
            "stage": stage.name,
            "wanted": _is_wanted(stage, step["settings"]),
            "made": [
                {"kind": kind, "number": step[key]}
                for key, kind in stage.made.items()
                if step[key] is not None
            ],
        }
        for stage in FLOW
    ]


def _is_wanted(stage: LoopStage, settings: dict[str, Any]) -> bool:
    """Where the settings cannot be read any more, every stage may have been."""
    try:
        return stage.wanted(read(settings))
    except PolicyError:
        return True
