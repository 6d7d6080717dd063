"""The loop: its steps, begun by people or by the beat, and the stages that each goes through."""

from training.services.loop.advancing import advance
from training.services.loop.policy import set_policy
from training.services.loop.steps import (
    approve,
    begin_step,
    cancel,
    pause,
    reject,
    resume,
    retry,
    tick,
)

__all__ = [
    "advance",
    "approve",
    "begin_step",
    "cancel",
    "pause",
    "reject",
    "resume",
    "retry",
    "set_policy",
    "tick",
]
