"""What SFT, KTO, RLOO and GRPO share: a trainer of TRL run as a run of the engine.

TRL computes the loss; everything else is as in the engine's own loop: the optimizer and its
schedule, metrics, checkpoints that are whole or absent, an end on request, a loss that is not a
number refused.
"""

import json
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import Trainer, TrainerCallback

from training.engine import checkpoints
from training.engine.errors import NotFinite, Stopped
from training.engine.loop import Listener
from training.engine.optimizers import build_optimizer
from training.engine.plan import whole_steps
from training.engine.schedule import schedule_of
from training.engine.spec import RunSpec
from training.engine.stopping import Stop
from training.engine.whole import move_whole

STATE = "trainer_state.json"
NOT_FINITE = "Lower the learning rate, or take a longer warm-up; then start a new run."

# TRL's names of what the engine's metrics have a name for.
NAMES = {
    "learning_rate": "lr",
    "num_tokens": "tokens",
    "mean_token_accuracy": "accuracy",
    "rewards/margins": "margin",
}
# Trainer's summary of a whole run, and its clock.
LEFT_OUT = (
    "train_",
    "total_flos",
    "eval_runtime",
    "eval_samples_per",
    "eval_steps_per",
    "step_time",
)


@dataclass(frozen=True, eq=False)
class TrlRun:
    """Where a run of TRL's writes, and whom it tells.

    groups: how many examples or prompts there are to learn from.
    """

    spec: RunSpec
    checkpoints: Path
    listener: Listener
    stop: Stop
    groups: int

    @property
    def steps(self) -> int:
        training = self.spec.training
        return whole_steps(
            self.groups, training.groups_per_step, training.epochs, training.max_steps
        )

    def arguments(self, *, rows: int, batch: int, device: torch.device, evaluates: bool) -> Any:
        """What every configuration of TRL takes.

        rows: sequences of a step; batch: of them at a time, a divisor.
        """
        training, optimizer = self.spec.training, self.spec.optimizer
        every = training.evaluate_every if evaluates else None
        return {
            "output_dir": str(self.checkpoints / ".trl"),
            "max_steps": self.steps,
            "per_device_train_batch_size": batch,
            "per_device_eval_batch_size": batch,
            "gradient_accumulation_steps": rows // batch,
            "learning_rate": optimizer.lr,
            "max_grad_norm": optimizer.max_grad_norm,
            "seed": training.seed,
            "data_seed": training.seed,
            "logging_steps": training.log_every,
            "logging_nan_inf_filter": False,
            "save_steps": training.checkpoint_every,
            "eval_strategy": "no" if every is None else "steps",
            "eval_steps": every,
            "gradient_checkpointing": self.spec.base.gradient_checkpointing,
            "gradient_checkpointing_kwargs": {"use_reentrant": False},
            "bf16": False,  # the base's own precision decides, as in the engine's loop
            "use_cpu": device.type == "cpu",
            "dataloader_pin_memory": device.type == "cuda",
            "report_to": "none",
            "disable_tqdm": True,
        }


def batch_size(rows: int, longest: int, budget: int, *, least: int = 1, multiple: int = 1) -> int:
    """How many of a step's rows go through the model at a time.

    The largest divisor of `rows` whose padded tokens (`longest` each) stay in the budget, of
    `multiple` and not below `least`; the smallest allowed one if none does.
    """
    allowed = [n for n in range(least, rows + 1) if rows % n == 0 and n % multiple == 0]
    fitting = [n for n in allowed if n * longest <= budget]
    return max(fitting) if fitting else min(allowed, default=rows)


class EngineTrainer:
    """Mixed into a trainer of TRL, before it."""

    run: TrlRun

    def _send_telemetry(self) -> None:
        """TRL tells its makers that somebody trains, and on what; the engine tells nobody."""

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        this: Any = self
        if this.optimizer is None:
            this.optimizer = build_optimizer(model or this.model, self.run.spec.optimizer)
        optimizer: torch.optim.Optimizer = this.optimizer
        return optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        this: Any = self
        if this.lr_scheduler is None:
            spec = self.run.spec.optimizer
            this.lr_scheduler = schedule_of(optimizer or this.optimizer, spec, num_training_steps)
            this._created_lr_scheduler = True
        return this.lr_scheduler

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*args, **kwargs)  # type: ignore[misc]
        self._refuse_nan("loss", float(loss))
        return loss

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        norm = super()._clip_grad_norm(model)  # type: ignore[misc]
        self._refuse_nan("gradient", float(norm))
        return norm

    def _refuse_nan(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            this: Any = self
            step = this.state.global_step + 1
            raise NotFinite(f"The {what} of step {step} is not a finite number.", advice=NOT_FINITE)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Written beside its place and moved there whole; without TRL's model card."""
        this: Any = self
        # Past TRL's own method, which writes the card.
        Trainer._save_checkpoint(this, model, trial)
        this.accelerator.wait_for_everyone()
        if this.accelerator.is_main_process:
            step = this.state.global_step
            draft = Path(this.args.output_dir) / f"checkpoint-{step}"
            keep_checkpoint(draft, self.run.checkpoints, step, self.run.spec.training)
        this.accelerator.wait_for_everyone()


def keep_checkpoint(draft: Path, folder: Path, step: int, training: Any) -> None:
    """Move a finished checkpoint to its place, onto the disk; remove all but the last ones."""
    move_whole(draft, checkpoints.place_of(folder, step))
    checkpoints.keep_last(folder, training.keep_checkpoints, STATE)


class Telling(TrainerCallback):
    """Hands on to the engine's listener what a Trainer says; ends the run when asked to."""

    def __init__(self, run: TrlRun) -> None:
        self._run = run
        self._tokens = 0.0
        self._since = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._run.listener.phase("training", state.max_steps)
        self._run.listener.progress(state.global_step)
        self._tokens = _tokens_of(state.log_history)
        self._since = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._run.listener.progress(state.global_step)
        last = state.global_step >= state.max_steps
        if last:
            control.should_log = True
            # The run is over; its adapter is what counts.
            control.should_save = False
        elif self._run.stop.requested:
            control.should_save = True
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        found = in_engine_names(logs or {})
        # At the end Trainer sums the run up, and nothing but the epoch is left of that.
        if found.keys() <= {"epoch"} or not state.is_world_process_zero:
            return
        if "tokens" in found and "loss" in found:
            found["tokens_per_s"] = self._rate(found["tokens"])
        place = {"step": state.global_step, "steps": state.max_steps}
        self._run.listener.metrics(place | found)

    def _rate(self, tokens: float) -> float:
        now = time.monotonic()
        rate = (tokens - self._tokens) / max(now - self._since, 1e-9)
        self._tokens, self._since = tokens, now
        return round(rate, 1)


def in_engine_names(logs: dict[str, Any]) -> dict[str, Any]:
    """Trainer's log under the names of the engine's metrics; its summaries left out."""
    return {
        _engine_name(name): value
        for name, value in logs.items()
        if not name.startswith(LEFT_OUT) and value is not None
    }


def _engine_name(name: str) -> str:
    before, after = ("evaluation_", name[5:]) if name.startswith("eval_") else ("", name)
    return before + NAMES.get(after, after).replace("/", "_")


def _tokens_of(history: Sequence[dict[str, Any]]) -> float:
    return float(
        next((line["num_tokens"] for line in reversed(history) if "num_tokens" in line), 0)
    )


def train(trainer: Any, run: TrlRun) -> None:
    """Train to the last step, from the last whole checkpoint if there is one.

    Raises Stopped after a checkpoint when asked to stop, NotFinite when the loss or the gradient is
    not a number any more.
    """
    trainer.run = run
    draft = Path(trainer.args.output_dir)
    found = checkpoints.latest(run.checkpoints, STATE)
    if found:
        history = json.loads((found / STATE).read_text())["log_history"]
        # TRL counts tokens from 0 in every process.
        trainer._total_train_tokens = _tokens_of(history)
    try:
        trainer.train(resume_from_checkpoint=str(found) if found else None)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    done = trainer.state.global_step
    if done < run.steps:
        raise Stopped(f"Stopped after step {done} of {run.steps}.")
    if trainer.eval_dataset is not None and done != _last_evaluation(trainer.state.log_history):
        run.listener.phase("evaluation")
        trainer.evaluate()


def _last_evaluation(history: Sequence[dict[str, Any]]) -> int | None:
    steps = [line["step"] for line in history if "eval_loss" in line]
    return steps[-1] if steps else None
