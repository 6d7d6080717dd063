"""What a PPO run goes on from as if it had not stopped."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from training.engine import checkpoints
from training.engine.ppo.alarms import Start
from training.engine.ppo.kl import Penalty
from training.engine.ppo.roles import Roles
from training.engine.ppo.scale import Scale


@dataclass
class State:
    """Actor, critic and value head with their optimizer; the coefficient of the divergence, the
    scale of rewards, what the alarms compare with.

    start: None until the reference's answers were measured. tokens: of answers, so far.
    """

    roles: Roles
    optimizer: torch.optim.Optimizer
    schedule: Any
    penalty: Penalty
    scale: Scale
    start: Start | None = None
    step: int = 0
    tokens: int = 0

    def resume(self, folder: Path, rank: int) -> None:
        """From the last whole checkpoint, if there is one. Raises SpecError."""
        place = checkpoints.latest(folder)
        if place is None:
            return
        saved = checkpoints.load(place)
        checkpoints.load_trainable(self.roles, saved["weights"])
        checkpoints.load_optimizer(self.optimizer, saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.penalty = Penalty(**saved["penalty"])
        self.scale = Scale(**saved["scale"])
        self.start = Start(**saved["start"])
        states = saved["random"]
        checkpoints.set_random_state(states[min(rank, len(states) - 1)])
        self.step, self.tokens = saved["step"], saved["tokens"]

    def save(self, folder: Path, keep: int, accelerator: Accelerator) -> None:
        """Of all processes together; the first one writes. Raises OSError on a full disk."""
        random = gather_object([checkpoints.random_state()])
        if accelerator.is_main_process:
            content = {
                "weights": checkpoints.trainable_state(self.roles),
                "optimizer": checkpoints.whole(self.optimizer.state_dict()),
                "schedule": self.schedule.state_dict(),
                "penalty": asdict(self.penalty),
                "scale": asdict(self.scale),
                "start": asdict(self.start) if self.start else None,
                "random": random,
                "tokens": self.tokens,
            }
            checkpoints.save(folder, self.step, content, keep)
        accelerator.wait_for_everyone()
