"""The updates of a step: some passes over its answers in minibatches, actor and critic each.

A minibatch is cut into packs under the token budget; its losses are means over its tokens, of all
processes together, so neither the budget nor the number of processes changes what is learned. The
two roles go through the base one after the other: only one's activations exist at a time.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from training.engine.errors import NotFinite
from training.engine.groups import Group
from training.engine.packing import Pack
from training.engine.ppo import losses
from training.engine.ppo.advantages import Sum
from training.engine.ppo.experience import Experience
from training.engine.ppo.passes import Passes
from training.engine.ppo.roles import Roles
from training.engine.spec.ppo import PPO

# The groups of the language-model loss in an update: from a seed and how many.
Replay = Callable[[tuple[int, ...], int], list[Group]]


@dataclass(frozen=True)
class Updating:
    """processes: adds up a tensor over them. rank: of this one. replay: None without PTX."""

    roles: Roles
    settings: PPO
    optimizer: torch.optim.Optimizer
    passes: Passes
    max_grad_norm: float
    processes: Sum
    seed: int
    rank: int = 0
    replay: Replay | None = None

    def minibatches(self, step: int, epoch: int, prompts: int) -> list[list[int]]:
        """Indices of the prompts of each update; the same again from the same seed."""
        draw = np.random.default_rng((self.seed, step, epoch, self.rank))
        order = draw.permutation(prompts)
        return [part.tolist() for part in np.array_split(order, self.settings.minibatches)]


class Tally:
    """Sums over the updates of a step."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, float] = {}

    def add(self, name: str, value: float, count: float = 1.0) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + value
        self._counts[name] = self._counts.get(name, 0.0) + count

    def means(self) -> dict[str, float]:
        return {name: value / max(self._counts[name], 1e-12) for name, value in self._sums.items()}


def update(updating: Updating, experiences: Sequence[Experience], step: int) -> dict[str, float]:
    """All updates of a step; returns its metrics. Raises NotFinite.

    They end early when the policy has moved further than `kl_stop`: the minibatch that shows it is
    not learned from. With fewer prompts than minibatches some of these are empty, on all processes
    together; an update of nothing would still step along Adam's averages, so there is none.
    """
    settings, tally = updating.settings, Tally()
    updating.roles.train()
    done = 0
    for epoch in range(settings.epochs):
        for number, part in enumerate(updating.minibatches(step, epoch, len(experiences))):
            chosen = [experiences[index] for index in part]
            if not _total(updating, sum(one.tokens for one in chosen)):
                continue
            moved = _actor(updating, chosen, tally)
            if settings.kl_stop is not None and moved > settings.kl_stop:
                updating.optimizer.zero_grad()
                return _told(updating, tally, done, stopped=True)
            if updating.replay is not None:
                _replay(updating, (step, epoch, number), len(part), tally)
            if updating.roles.critic is not None:
                _critic(updating, chosen, tally)
            _take(updating, tally, step)
            done += 1
    return _told(updating, tally, done, stopped=False)


def _actor(updating: Updating, chosen: Sequence[Experience], tally: Tally) -> float:
    """Gradients of the clipped surrogate; returns nats a token that the policy has moved."""
    settings, actor = updating.settings, updating.roles.actor
    count = _total(updating, sum(one.tokens for one in chosen))
    sums = torch.zeros(5, dtype=torch.float64)
    for packed, part in _packs(updating, chosen):
        old, advantages, importance = (
            _column(part, name, packed) for name in ("old", "advantages", "importance")
        )
        logprobs, entropies = actor.statistics(packed, sloped=settings.entropy_weight > 0)
        each = importance * losses.policy(logprobs, old, advantages, settings.clip)
        loss = (each.sum() - settings.entropy_weight * entropies.sum()) / count
        loss.backward()
        said = logprobs.detach()
        sums += _sums(
            each,
            losses.policy_clipped(said, old, advantages, settings.clip),
            losses.moved(said, old),
            (said - old).exp(),
            entropies,
        )
    sums = updating.processes(sums)
    names = ("policy_loss", "clip_fraction", "approx_kl", "ratio", "update_entropy")
    for name, value in zip(names, sums.tolist(), strict=True):
        tally.add(name, value, count)
    return float(sums[2]) / count


def _critic(updating: Updating, chosen: Sequence[Experience], tally: Tally) -> None:
    critic, clip = updating.roles.critic, updating.settings.value_clip
    count = _total(updating, sum(one.tokens for one in chosen))
    sums = torch.zeros(2, dtype=torch.float64)
    with updating.roles.as_critic():
        for packed, part in _packs(updating, chosen):
            old, returns = (_column(part, name, packed) for name in ("values", "returns"))
            values = critic(packed)  # type: ignore[misc]
            each = losses.value(values, old, returns, clip)
            (each.sum() / count).backward()
            sums += _sums(each, losses.value_clipped(values.detach(), old, returns, clip))
    for name, value in zip(
        ("value_loss", "value_clip_fraction"), updating.processes(sums).tolist(), strict=True
    ):
        tally.add(name, value, count)


def _replay(updating: Updating, place: tuple[int, ...], many: int, tally: Tally) -> None:
    """γ times the language-model loss a token (InstructGPT, eq. 2), on top of the surrogate's."""
    assert updating.replay is not None  # noqa: S101
    groups = updating.replay((updating.seed, *place, updating.rank), many)
    count = _total(updating, sum(len(one) for group in groups for one in group.completions))
    loss_sum = torch.zeros(1, dtype=torch.float64)
    for batch in updating.passes.batches(groups):
        packed = updating.passes.pack([groups[index] for index in batch])
        each = -updating.roles.actor(packed)
        (updating.settings.ptx_weight * each.sum() / count).backward()
        loss_sum += _sums(each)
    tally.add("ptx_loss", float(updating.processes(loss_sum)), count)


def _take(updating: Updating, tally: Tally, step: int) -> None:
    """Gradients of all processes together, clipped for each role by itself, and the step."""
    roles = updating.roles
    parts = {"grad_norm": roles.trained_of_actor(), "critic_grad_norm": roles.trained_of_critic()}
    for name, parameters in parts.items():
        if not parameters:
            continue
        _share(parameters, updating.processes)
        norm = float(nn.utils.clip_grad_norm_(parameters, updating.max_grad_norm))
        if not math.isfinite(norm):
            raise NotFinite(
                f"A gradient of step {step + 1} is not a finite number.",
                advice="Lower the learning rate or ppo.clip; then start a new run.",
            )
        tally.add(name, norm)
    updating.optimizer.step()
    updating.optimizer.zero_grad()


def _share(parameters: Sequence[nn.Parameter], processes: Sum) -> None:
    """The adapters' gradients are small: one exchange an update, whatever the packs were."""
    for parameter in parameters:
        if parameter.grad is None:  # this process had no prompt of the minibatch
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad = processes(parameter.grad)


def _told(updating: Updating, tally: Tally, done: int, *, stopped: bool) -> dict[str, float]:
    return {**tally.means(), "updates": float(done), "stopped_early": float(stopped)}


def _packs(updating: Updating, chosen: Sequence[Experience]) -> list[tuple[Pack, list[Experience]]]:
    made = []
    for batch in updating.passes.batches([one.group for one in chosen]):
        part = [chosen[index] for index in batch]
        made.append((updating.passes.pack([one.group for one in part]), part))
    return made


def _column(part: Sequence[Experience], name: str, packed: Pack) -> Tensor:
    return torch.cat([getattr(one, name) for one in part]).to(packed.ends.device)


def _sums(*each: Tensor) -> Tensor:
    return torch.stack([one.detach().double().sum().cpu() for one in each])


def _total(updating: Updating, count: int) -> float:
    """Of all processes, which all call."""
    return float(updating.processes(torch.tensor(float(count), dtype=torch.float64)))
