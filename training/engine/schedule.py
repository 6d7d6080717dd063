"""How the learning rate rises and falls: one rule for the engine's loop, for TRL's and for PPO's.

Step n of the warm-up, from 0, has (n + 1) / (steps of the warm-up) of the peak, so even the first
step learns. Schedules that start at 0 are made for thousands of steps; a loop's runs have tens.
"""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from training.engine.errors import SpecError
from training.engine.spec import Optimizer

# Below this many steps a run mostly fills Adam's averages.
FEW_STEPS = 20


def schedule_of(
    optimizer: torch.optim.Optimizer, spec: Optimizer, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Every group of parameters from its own peak. Raises SpecError when all rates are 0."""
    factors = [factor(step, steps, spec) for step in _extremes(steps, spec)]
    if not any(group["lr"] * one for group in optimizer.param_groups for one in factors):
        raise SpecError(
            "The learning rate is 0 in every step: nothing would be learned.",
            advice="Raise optimizer.lr.",
        )
    return LambdaLR(optimizer, lambda step: factor(step, steps, spec))


def factor(step: int, steps: int, spec: Optimizer) -> float:
    """The share of the peak rate that a step has. step: from 0, of `steps` in all."""
    rising = warmup_steps(steps, spec)
    if step < rising:
        return (step + 1) / rising
    # The last step still has a rate; 0 would be reached one step later.
    passed = min((step - rising) / max(steps - rising, 1), 1.0)
    if spec.schedule == "constant":
        return 1.0
    return 1 - passed if spec.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * passed))


def warmup_steps(steps: int, spec: Optimizer) -> int:
    """The nearest whole number; of a short run it may be none."""
    return round(steps * spec.warmup_ratio)


def few_steps(steps: int) -> str | None:
    """In words, when a run is too short for what optimizers are made for."""
    if steps >= FEW_STEPS:
        return None
    return (
        f"The run has {steps} {'step' if steps == 1 else 'steps'} only, and an optimizer needs "
        f"about {FEW_STEPS} to learn steadily. Lower training.groups_per_step, raise "
        "training.epochs, or collect more data."
    )


def _extremes(steps: int, spec: Optimizer) -> tuple[int, int]:
    """The first step, and the one with the highest rate."""
    return 0, max(warmup_steps(steps, spec) - 1, 0)
