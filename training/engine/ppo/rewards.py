"""What rewards an answer: reward models on the actor's base or on another one, and functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from training.engine.adapters import StoredAdapter, adapter_active, add_frozen, load_adapter
from training.engine.base import LoadedBase, load_base, refuse_longer
from training.engine.data import Prompt
from training.engine.data.examples import Answer as Text
from training.engine.errors import NotFinite, SpecError
from training.engine.fused import fuse
from training.engine.groups import Group
from training.engine.layout import choose_layout
from training.engine.ppo.passes import Passes
from training.engine.ppo.roles import Roles
from training.engine.ppo.rollouts import Answer
from training.engine.reward_functions import Reward, imported
from training.engine.reward_head import load_head
from training.engine.scorers import At, Rewards
from training.engine.scoring.answers import Given
from training.engine.scoring.asked import groups_of
from training.engine.spec import Base

FIELD = "ppo.rewards"


@dataclass(frozen=True)
class Answered:
    """A prompt with its answers, as tokens of the actor's base and as text."""

    prompt: Prompt
    answers: tuple[Answer, ...]
    texts: tuple[str, ...]

    @property
    def group(self) -> Group:
        tokens = tuple(one.tokens for one in self.answers)
        return Group(self.prompt.key, self.prompt.tokens, tokens)


class Source(Protocol):
    """Something that rewards."""

    @property
    def name(self) -> str:
        """What it is called in metrics."""

    def __call__(self, asked: Sequence[Answered]) -> Tensor:
        """(C,) rewards of all answers, one prompt's behind the other's."""


@dataclass(frozen=True)
class OnBase:
    """A reward adapter of the actor's own base: one more of its roles."""

    name: str
    adapter: str
    roles: Roles
    scorer: Rewards
    passes: Passes

    def __call__(self, asked: Sequence[Answered]) -> Tensor:
        groups = [one.group for one in asked]
        with self.roles.measuring(), adapter_active(self.roles.model, self.adapter):
            return torch.cat(self.passes.answers(groups, self.scorer))


@dataclass(frozen=True)
class OfOther:
    """A reward model of another base, with weights, tokens and template of its own."""

    name: str
    base: LoadedBase
    scorer: Rewards
    passes: Passes
    max_prompt_tokens: int

    def __call__(self, asked: Sequence[Answered]) -> Tensor:
        given = [
            (one.prompt.messages, Text(text, not answer.finished and bool(text)))
            for one in asked
            for answer, text in zip(one.answers, one.texts, strict=True)
        ]
        known = groups_of(
            [Given(number, *one) for number, one in enumerate(given)],
            self.base.tokenizer,
            max_prompt_tokens=self.max_prompt_tokens,
        )
        longest = max(one.group.longest for one in known)
        refuse_longer(self.base, longest, advice="Lower ppo.max_new_tokens.")
        found = torch.empty(len(given))
        with torch.no_grad():
            rewards = self.passes.answers([one.group for one in known], self.scorer)
        for one, values in zip(known, rewards, strict=True):
            for ids, value in zip(one.ids, values.tolist(), strict=True):
                found[list(ids)] = value
        return found


@dataclass(frozen=True)
class ByFunction:
    """A Python function, called as TRL calls it."""

    name: str
    function: Reward

    def __call__(self, asked: Sequence[Answered]) -> Tensor:
        each = [
            (one.prompt, answer, text)
            for one in asked
            for answer, text in zip(one.answers, one.texts, strict=True)
        ]
        found = self.function(
            prompts=[list(prompt.messages) for prompt, _, _ in each],
            completions=[[{"role": "assistant", "content": text}] for _, _, text in each],
            prompt_ids=[list(prompt.tokens) for prompt, _, _ in each],
            completion_ids=[list(answer.tokens) for _, answer, _ in each],
        )
        try:
            rewards = torch.tensor([float(one) for one in found])
        except (TypeError, ValueError) as problem:
            raise SpecError(f"{FIELD}: {self.name} returned no numbers ({problem}).") from problem
        if len(rewards) != len(each):
            raise SpecError(
                f"{FIELD}: {self.name} returned {len(rewards)} rewards for {len(each)} answers."
            )
        return rewards


def by_function(name: str) -> ByFunction:
    """Raises SpecError when there is no such function."""
    return ByFunction(f"reward_{name.rpartition(':')[2]}", imported(name, field=FIELD))


def on_base(stored: StoredAdapter, number: int, roles: Roles, passes: Passes) -> OnBase:
    """Put a reward adapter on the actor's base. number: among the rewards."""
    name = f"reward_{number}"
    add_frozen(roles.model, stored, name)
    head = load_head(stored.folder).to(passes.device).requires_grad_(False)
    return OnBase(name, name, roles, Rewards(roles.model, head, roles.actor.layout), passes)


def of_other(stored: StoredAdapter, number: int, base: Base, passes: Passes) -> OfOther:
    """Load a reward adapter with its base, an encoder perhaps. base: of the reward model.

    Raises SpecError when the adapter was trained on yet another base.
    """
    loaded: LoadedBase = load_base(base, kind="auto")
    if stored.card["base"] != loaded.content_hash:
        raise SpecError(
            f"{FIELD}: {stored.folder.name} was trained on {stored.card['base_name']}, which is "
            f"neither base.model nor ppo.reward_base ({loaded.name}).",
            advice="Set ppo.reward_base to the base that the reward model was trained on.",
        )
    if template := stored.card.get("chat_template"):  # that it was trained with
        loaded.tokenizer.chat_template = template
    model = load_adapter(loaded.model, stored)
    encoder = loaded.kind == "encoder"
    layout = choose_layout(model, "unpacked" if encoder else base.attention, passes.budget)
    fuse(model)
    at: At = "start" if encoder else "end"
    head = load_head(stored.folder).to(loaded.device).requires_grad_(False)
    scorer = Rewards(model, head, layout, at=at)
    scorer.eval()
    own = Passes(layout, passes.budget, loaded.device, passes.stop)
    longest = int(stored.card["spec"]["data"]["max_prompt_tokens"])
    return OfOther(f"reward_{number}", loaded, scorer, own, longest)


def total(sources: Sequence[tuple[Source, float]], asked: Sequence[Answered]) -> dict[str, Tensor]:
    """(C,) rewards of each source by its name, and "reward": their weighted sum.

    Raises NotFinite.
    """
    found = {source.name: source(asked).float() for source, _ in sources}
    summed = torch.stack([weight * found[source.name] for source, weight in sources]).sum(0)
    if not summed.isfinite().all():
        raise NotFinite(
            "The rewards are not finite numbers.",
            advice="Correct the reward function, or train the reward model with a lower rate.",
        )
    return {**found, "reward": summed}


def read_folder(folder: Path, stored: StoredAdapter) -> StoredAdapter:
    """Raises SpecError for an adapter that is no reward model."""
    if not stored.is_reward_model:
        raise SpecError(
            f"{FIELD}: {folder.name} is no reward model.",
            advice="Give an adapter that was trained with the method reward.",
        )
    return stored
