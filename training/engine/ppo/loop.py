"""The loop of PPO: answers, rewards, what the roles say of them, some updates; top to bottom."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from training.engine.data import Prompt
from training.engine.errors import Stopped
from training.engine.loop import AfterStep, Listener
from training.engine.plan import Plan
from training.engine.ppo.advantages import Sum
from training.engine.ppo.alarms import alarms
from training.engine.ppo.experience import Means, learn_from, measure, refuse_strangers
from training.engine.ppo.passes import Passes
from training.engine.ppo.rewards import Answered, Source
from training.engine.ppo.rollouts import Ahead, Answer, Sampled, Sampler
from training.engine.ppo.rollouts.ahead import Asked
from training.engine.ppo.state import State
from training.engine.ppo.table import Table, rows
from training.engine.ppo.update import Updating, update
from training.engine.process import RunFolder
from training.engine.spec import RunSpec
from training.engine.spec.ppo import PPO
from training.engine.stopping import Stop, agreed

UNCOUNTED = (
    "Answers that are a step old count as if they were new, because the server tells "
    "log-probabilities before the temperature: start vLLM with --logprobs-mode processed_logprobs, "
    "or set ppo.overlap to false."
)
Decode = Callable[[Answer], str]


class Ears(Listener, Protocol):
    """Who is told how the run goes, warnings too."""

    def warn(self, text: str) -> None: ...


@dataclass(frozen=True)
class Work:
    """What the loop needs. plan: which prompts make a step. evaluate: metrics after some steps."""

    spec: RunSpec
    settings: PPO
    folder: RunFolder
    ears: Ears
    stop: Stop
    accelerator: Accelerator
    prompts: Sequence[Prompt]
    plan: Plan
    sources: Sequence[tuple[Source, float]]
    sampler: Sampler
    passes: Passes
    updating: Updating
    decode: Decode
    table: Table
    evaluate: AfterStep

    def mine(self, step: int) -> list[Prompt]:
        """This process's share of a step's prompts; one at least, because all take part."""
        chosen = self.plan.groups(step)
        accelerator = self.accelerator
        share = chosen[accelerator.process_index :: accelerator.num_processes] or chosen[:1]
        return [self.prompts[number] for number in share]

    def asked(self, step: int) -> Asked:
        seed = (self.spec.training.seed, step, self.accelerator.process_index)
        return Asked(step, tuple(one.tokens for one in self.mine(step)), seed_of(seed))

    def answered(
        self, prompts: Sequence[Prompt], answers: Sequence[tuple[Answer, ...]]
    ) -> list[Answered]:
        return [
            Answered(prompt, given, tuple(self.decode(one) for one in given))
            for prompt, given in zip(prompts, answers, strict=True)
        ]


def seed_of(parts: tuple[int, ...]) -> int:
    """One number of several, another one for each."""
    draw = torch.Generator()
    seed = 0
    for part in parts:
        draw.manual_seed((seed * 1_000_003 + part) % 2**63)
        seed = int(torch.randint(2**62, (1,), generator=draw))
    return seed


def processes_of(accelerator: Accelerator) -> Sum:
    """Adds a tensor up over all processes; they all call."""

    def total(value: Tensor) -> Tensor:
        if accelerator.num_processes == 1:
            return value
        summed: Tensor = accelerator.reduce(value.to(accelerator.device), "sum")
        return summed.to(value.device)

    return total


def train(work: Work, state: State) -> None:
    """Until the plan's last step.

    Raises Stopped after a checkpoint when asked to stop, Passing after one when the server stays
    away, NotFinite when something is not a number any more, SpecError when the answers come from
    another model.
    """
    steps, training = work.plan.steps, work.spec.training
    work.ears.phase("training", steps)
    work.ears.progress(state.step)
    with Ahead(work.sampler, work.stop, lambda: _save(work, state)) as ahead:
        while state.step < steps:
            sampled = ahead.take(work.asked(state.step))
            if work.settings.overlap and state.step + 1 < steps:
                ahead.begin(work.asked(state.step + 1), state.step)
            metrics = _step(work, state, sampled)
            state.step += 1
            work.ears.progress(state.step)
            over = state.step == steps
            evaluating = over or _every(training.evaluate_every, state.step)
            if evaluating:
                metrics |= _evaluated(work, state)
            metrics |= _alarms(work, state, metrics)
            if evaluating or _every(training.log_every, state.step):
                work.ears.metrics(_place(work, state) | metrics)
            stopping = agreed(work.stop)
            if stopping or over or _every(training.checkpoint_every, state.step):
                _save(work, state)
            if stopping and not over:
                raise Stopped(f"Stopped after step {state.step} of {steps}.")


def _save(work: Work, state: State) -> None:
    keep = work.spec.training.keep_checkpoints
    state.save(work.folder.checkpoints, keep, work.accelerator)


def _step(work: Work, state: State, sampled: Sampled) -> dict[str, float]:
    """Learn from one step's answers; returns its metrics."""
    roles, processes = work.updating.roles, work.updating.processes
    begin = time.monotonic()
    asked = work.answered(work.mine(state.step), sampled.answers)
    found = measure(asked, roles, work.sources, work.passes)
    learned = learn_from(
        asked,
        found,
        work.settings,
        coefficient=state.penalty.coefficient,
        scale=state.scale,
        processes=processes,
    )
    metrics = reduced(learned.means, processes)
    if sampled.age == 0:
        refuse_strangers(metrics["mismatch_kl"])
    elif not learned.tempered:
        work.ears.warn(UNCOUNTED)
    measured = time.monotonic()
    rate = state.schedule.get_last_lr()[0]
    metrics |= update(work.updating, learned.experiences, state.step)
    state.schedule.step()
    updated = time.monotonic()
    lines = gather_object(list(rows(state.step + 1, asked, found, learned)))
    if work.folder.writes:
        work.table.add(state.step + 1, lines)
    tokens = int(processes(found.counts.sum().double()))
    metrics |= {"kl_coef": state.penalty.coefficient, "lr": rate, "rollout_age": sampled.age}
    metrics["rollout_wait_s"] = round(sampled.waited, 3)
    passes = {
        "rollout_tokens_per_s": sampled.seconds,
        "measure_tokens_per_s": measured - begin,
        "update_tokens_per_s": updated - measured,
        "tokens_per_s": sampled.waited + updated - begin,
    }
    metrics |= {name: round(tokens / max(took, 1e-9), 1) for name, took in passes.items()}
    state.penalty = state.penalty.after(metrics["kl"], len(lines))
    state.tokens += tokens
    return metrics


def reduced(means: Means, processes: Sum) -> dict[str, float]:
    """The means over all processes."""
    names = sorted(means)
    table = processes(torch.tensor([means[name] for name in names], dtype=torch.float64))
    values = table[:, 0] / table[:, 1].clamp(min=1e-12)
    return dict(zip(names, values.tolist(), strict=True))


def _evaluated(work: Work, state: State) -> dict[str, float]:
    """Nothing when it was stopped: the loop then ends as it does after any step, saving first."""
    try:
        return work.evaluate(state.step)
    except Stopped:
        return {}


def _alarms(work: Work, state: State, metrics: dict[str, float]) -> dict[str, float]:
    if state.start is None:
        return {}
    found = alarms(state.start, metrics, kl_bound=work.settings.kl_bound)
    for text in found.values():
        work.ears.warn(text)
    if "evaluation_accuracy" in metrics:
        state.start = state.start.with_accuracy(metrics["evaluation_accuracy"])
    return {"alarms": float(len(found))}


def _place(work: Work, state: State) -> dict[str, Any]:
    epoch = round(state.step / work.plan.steps_per_epoch, 4)
    return {
        "step": state.step,
        "steps": work.plan.steps,
        "epoch": epoch,
        "tokens": state.tokens,
    }


def _every(interval: int | None, step: int) -> bool:
    return interval is not None and step % interval == 0
