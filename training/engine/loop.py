"""The training loop: reads top to bottom, for every method on packed rankings.

A step is a fixed set of groups (`plan`), cut into packs under the token budget. The loss of a step
is the sum over all its packs and processes divided by the weight of all its rankings, so neither
the budget nor the number of processes changes what is learned.
"""

import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from training.engine import checkpoints
from training.engine.errors import NotFinite, Stopped
from training.engine.groups import Group
from training.engine.objective import Objective, Totals
from training.engine.optimizers import build_optimizer
from training.engine.packing import Pack, pack
from training.engine.plan import Plan
from training.engine.schedule import schedule_of
from training.engine.spec import Optimizer, Training
from training.engine.stopping import Stop, agreed


class Listener(Protocol):
    """Who is told how the run goes."""

    def phase(self, name: str, total: int | None = None) -> None: ...

    def progress(self, done: int) -> None: ...

    def metrics(self, values: dict[str, Any]) -> None: ...


class AfterStep(Protocol):
    """What is done every `evaluate_every` steps; returns metrics. Raises Stopped."""

    def __call__(self, step: int, /) -> dict[str, float]: ...


@dataclass(frozen=True)
class Run:
    """What the loop needs beside the objective and the groups."""

    plan: Plan
    optimizer: Optimizer
    training: Training
    checkpoints: Path
    listener: Listener
    stop: Stop
    head_lr: float | None = None
    evaluate: AfterStep | None = None


def train(
    objective: Objective,
    prepared: nn.Module,
    groups: Sequence[Group],
    run: Run,
    accelerator: Accelerator,
) -> int:
    """Train until the plan's last step, from the last checkpoint if there is one.

    prepared: the objective's scorer as accelerate wrapped it. Returns the number of steps. Raises
    Stopped after a checkpoint when asked to stop, NotFinite when the loss or the gradient is not a
    number any more.
    """
    plan = run.plan
    state = _beginning(objective, prepared, run, accelerator)
    optimizer, schedule = state.optimizer, state.schedule
    prepared.train()
    run.listener.phase("training", plan.steps)
    run.listener.progress(state.step)
    while state.step < plan.steps:
        begin = time.monotonic()
        totals = Totals()
        _accumulate(prepared, objective, groups, run, state.step, totals, accelerator)
        norm = accelerator.clip_grad_norm_(prepared.parameters(), run.optimizer.max_grad_norm)
        metrics = _means(totals, accelerator)
        _refuse_nan(metrics["loss"], norm, state.step + 1)
        learning_rate = schedule.get_last_lr()[0]
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        # Of all processes; each encodes its share of them.
        tokens = sum(groups[number].tokens for number in plan.groups(state.step))
        state.step += 1
        state.tokens += tokens
        run.listener.progress(state.step)
        seconds = time.monotonic() - begin
        over = state.step == plan.steps
        evaluating = run.evaluate is not None and _every(run.training.evaluate_every, state.step)
        if run.evaluate is not None and evaluating:
            metrics |= _evaluated(run.evaluate, state.step)
            prepared.train()
        if evaluating or over or _every(run.training.log_every, state.step):
            metrics |= {"lr": learning_rate, "grad_norm": float(norm)}
            metrics["tokens_per_s"] = round(tokens / seconds, 1)
            run.listener.metrics(state.place(plan) | metrics)
        stopping = agreed(run.stop)
        # After the last step too: who is killed in the evaluation goes on there.
        if stopping or over or _every(run.training.checkpoint_every, state.step):
            state.save(run.checkpoints, run.training.keep_checkpoints, accelerator)
        if stopping and not over:
            raise Stopped(f"Stopped after step {state.step} of {plan.steps}.")
    return state.step


def _beginning(
    objective: Objective, prepared: nn.Module, run: Run, accelerator: Accelerator
) -> "State":
    """Optimizer and schedule, where the last checkpoint left them."""
    optimizer = accelerator.prepare_optimizer(
        build_optimizer(prepared, run.optimizer, head_lr=run.head_lr)
    )
    schedule = schedule_of(optimizer, run.optimizer, run.plan.steps)
    state = State(objective.scorer, optimizer, schedule)
    state.resume(run.checkpoints, accelerator.process_index)
    return state


def _evaluated(evaluate: AfterStep, step: int) -> dict[str, float]:
    """Nothing when it was stopped: the loop then ends as it does after any step, saving first."""
    try:
        return evaluate(step)
    except Stopped:
        return {}


@dataclass
class State:
    """What a checkpoint brings back."""

    scorer: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Any
    step: int = 0
    tokens: int = 0

    def resume(self, folder: Path, rank: int) -> None:
        place = checkpoints.latest(folder)
        if place is None:
            return
        saved = checkpoints.load(place)
        checkpoints.load_trainable(self.scorer, saved["weights"])
        checkpoints.load_optimizer(self.optimizer, saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        states = saved["random"]
        checkpoints.set_random_state(states[min(rank, len(states) - 1)])
        self.step, self.tokens = saved["step"], saved["tokens"]

    def place(self, plan: Plan) -> dict[str, Any]:
        """How far the run is, as the metrics tell it."""
        epoch = round(self.step / plan.steps_per_epoch, 4)
        return {"step": self.step, "steps": plan.steps, "epoch": epoch, "tokens": self.tokens}

    def save(self, folder: Path, keep: int, accelerator: Accelerator) -> None:
        # Every process takes part, because sharded weights are gathered from all of them.
        content = {
            "weights": checkpoints.trainable_state(self.scorer),
            "optimizer": checkpoints.whole(self.optimizer.state_dict()),
            "schedule": self.schedule.state_dict(),
            # Each process drops out by numbers of its own.
            "random": gather_object([checkpoints.random_state()]),
            "tokens": self.tokens,
        }
        if accelerator.is_main_process:
            checkpoints.save(folder, self.step, content, keep)
        accelerator.wait_for_everyone()


def _accumulate(
    scorer: nn.Module,
    objective: Objective,
    groups: Sequence[Group],
    run: Run,
    step: int,
    totals: Totals,
    accelerator: Accelerator,
) -> None:
    """Forward and backward over this process's packs of a step."""
    chosen = run.plan.groups(step)
    # Processes average their gradients; the sum over all of them is wanted.
    share = accelerator.num_processes / max(objective.weight([groups[n] for n in chosen]), 1e-12)
    packs = run.plan.packs(step, accelerator.process_index)
    for number, indices in enumerate(packs):
        packed = _packed(groups, indices, chosen).to(accelerator.device)
        with _sync(accelerator, scorer, last=number == len(packs) - 1):
            outcome = objective(scorer(packed), packed)
            # A pack that stands in for none has the gradient zero.
            factor = share if indices else 0.0
            accelerator.backward(outcome.loss * factor)
        weight = torch.tensor(objective.weight(packed.groups), device=packed.ends.device)
        counts = 1.0 if indices else 0.0
        totals.add({"loss": (outcome.loss, weight), **outcome.metrics}, counts)


def _packed(groups: Sequence[Group], indices: Sequence[int], chosen: Sequence[int]) -> Pack:
    """An empty pack is stood in for by the step's first group: all processes run a forward."""
    return pack([groups[index] for index in (indices or chosen[:1])])


def _sync(
    accelerator: Accelerator, scorer: nn.Module, *, last: bool
) -> AbstractContextManager[Any]:
    return nullcontext() if last else accelerator.no_sync(scorer)


def _means(totals: Totals, accelerator: Accelerator) -> dict[str, float]:
    found = {}
    for name, pair in sorted(totals.sums().items()):
        total, count = accelerator.reduce(torch.stack([one.float() for one in pair]), "sum")
        found[name] = (total / count.clamp(min=1e-12)).item()
    return found


def _refuse_nan(loss: float, norm: Tensor | float, step: int) -> None:
    if math.isfinite(loss) and math.isfinite(float(norm)):
        return
    what = "loss" if not math.isfinite(loss) else "gradient"
    raise NotFinite(
        f"The {what} of step {step} is not a finite number.",
        advice="Lower the learning rate, or take a longer warm-up; then start a new run.",
    )


def _every(interval: int | None, step: int) -> bool:
    return interval is not None and step % interval == 0
