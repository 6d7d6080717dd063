"""Four roles on one base without a copy of it: each is an adapter, and one is active at a time.

The actor has the run's adapter, the critic one of its own with a head; reward models and the
reference are frozen. Which weights are trained is decided once, here, and switching changes nothing
of it: PEFT's `set_adapter` by itself would freeze whatever it leaves.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from training.engine.adapters import (
    CRITIC,
    POLICY,
    StoredAdapter,
    adapter_active,
    adapter_parameters,
    add_trained,
    reference_active,
)
from training.engine.base import LoadedBase
from training.engine.packing import Pack
from training.engine.ppo.head import head_statistics
from training.engine.ppo.scale import Scale
from training.engine.reward_head import RewardHead, load_head
from training.engine.scorers import Layout, LogProbs, Scorer


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a policy says of the N completion tokens of a pack, (N,) each, float32.

    logprobs, entropies: at the temperature of sampling. plain: log-probabilities at temperature 1.
    """

    logprobs: Tensor
    entropies: Tensor
    plain: Tensor


class Actor(LogProbs):
    """Log-probabilities and entropies at the temperature that answers are sampled at."""

    def __init__(self, model: nn.Module, layout: Layout, temperature: float) -> None:
        super().__init__(model, layout)
        self.temperature = temperature

    def statistics(self, packed: Pack, *, sloped: bool = False) -> tuple[Tensor, Tensor]:
        """(N,) log-probabilities, which have a gradient, and (N,) entropies; sloped: they too."""
        hidden, predictors, _ = self.hidden(packed)
        return self._read(hidden[predictors], packed.targets, self.temperature, sloped=sloped)

    @torch.no_grad()
    def spoken(self, packed: Pack) -> Spoken:
        """One forward, without gradients."""
        hidden, predictors, _ = self.hidden(packed)
        states = hidden[predictors]
        logprobs, entropies = self._read(states, packed.targets, self.temperature)
        plain = logprobs
        if self.temperature != 1:
            plain, _ = self._read(states, packed.targets, 1.0)
        return Spoken(logprobs, entropies, plain)

    def _read(
        self, states: Tensor, targets: Tensor, temperature: float, *, sloped: bool = False
    ) -> tuple[Tensor, Tensor]:
        head = self.inner.get_output_embeddings()
        return head_statistics(
            states,
            head.weight,
            targets,
            bias=getattr(head, "bias", None),
            scale=self._scale,
            cap=self._cap,
            temperature=temperature,
            sloped=sloped,
        )


class ValueHead(nn.Module):
    """From a hidden state to what the answer is still going to earn; float32.

    Zero at first: on the scale of rewards that is what the reference earns on average.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, hidden_size))
        self.bias = nn.Parameter(torch.zeros(1))

    @torch.no_grad()
    def start_from(self, head: RewardHead, weight: float) -> None:
        """Say of a text `weight` times what the reward model says of it."""
        self.weight.copy_(weight * head.weight)

    @torch.no_grad()
    def put_on(self, scale: Scale) -> None:
        """Say the same on this scale, as the rewards are from now on."""
        self.weight.div_(scale.deviation)
        if self.weight.any():
            self.bias.sub_(scale.mean).div_(scale.deviation)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., D) hidden states in any precision -> (...,) values in float32."""
        with torch.autocast(hidden.device.type, enabled=False):
            values = nn.functional.linear(hidden.float(), self.weight, self.bias)
        return values.squeeze(-1)


class Critic(Scorer):
    """Of each completion token the value of the state before it."""

    def __init__(self, model: nn.Module, layout: Layout, head: ValueHead) -> None:
        super().__init__(model, layout)
        self.head = head

    def forward(self, packed: Pack) -> Tensor:
        """(N,) in float32, in the order of `packed.targets`."""
        hidden, predictors, _ = self.hidden(packed)
        values: Tensor = self.head(hidden[predictors])
        return values


class Roles(nn.Module):
    """The actor and the critic of a PEFT model; critic None: a baseline does without.

    Outside of `as_critic` and `as_reference` the model is the actor.
    """

    def __init__(self, actor: Actor, critic: Critic | None) -> None:
        super().__init__()
        self.actor = actor
        self.critic = critic

    @property
    def model(self) -> Any:
        return self.actor.model

    def as_critic(self) -> AbstractContextManager[None]:
        """Inside, forward and backward are the critic's."""
        return adapter_active(self.model, CRITIC)

    def as_reference(self) -> AbstractContextManager[None]:
        return reference_active(self.model)

    def trained_of_actor(self) -> list[nn.Parameter]:
        return adapter_parameters(self.model, POLICY)

    def trained_of_critic(self) -> list[nn.Parameter]:
        """With the value head."""
        if self.critic is None:
            return []
        return [*adapter_parameters(self.model, CRITIC), *self.critic.head.parameters()]

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Inside, no gradients and evaluation mode: checkpointing would only cost time."""
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.train(training)


@dataclass(frozen=True, slots=True)
class CriticStart:
    """The reward model that the critic starts as, and how much it counts among the rewards."""

    stored: StoredAdapter
    weight: float


def add_critic(base: LoadedBase, model: Any, start: CriticStart | None, *, seed: int) -> ValueHead:
    """Put the critic's adapter on the model; returns its head.

    start: of a reward model of this base, whose shape the critic then has; None: a fresh adapter of
    the shape of the actor's, and a head of zeros.
    """
    head = ValueHead(base.model.config.get_text_config().hidden_size)
    if start is None:
        add_trained(model, CRITIC, model.peft_config[POLICY], seed=seed)
    else:
        add_trained(model, CRITIC, start.stored, seed=seed)
        head.start_from(load_head(start.stored.folder), start.weight)
    return head.to(base.device)
