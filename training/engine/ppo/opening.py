"""A PPO run that is ready to train: base, roles, rewards, prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from training.engine.adapters import (
    StoredAdapter,
    attach_lora,
    read_adapter,
    serving_warning,
    share_warning,
)
from training.engine.base import LoadedBase, load_base, refuse_longer
from training.engine.data import Prompts, load_preferences, load_prompts, template_hash
from training.engine.ending import ends_of_turn
from training.engine.errors import DataError, SpecError
from training.engine.fused import fuse
from training.engine.groups import Group
from training.engine.layout import check_head, choose_layout
from training.engine.memory.estimate import estimate
from training.engine.memory.shape import ModelShape
from training.engine.ppo import rewards
from training.engine.ppo.critic import StoredCritic, go_on, read_critic
from training.engine.ppo.passes import Passes
from training.engine.ppo.rewards import Source
from training.engine.ppo.roles import Actor, Critic, CriticStart, Roles, add_critic
from training.engine.ppo.rollouts import Answer, Sampling
from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.spec import RunSpec
from training.engine.spec.ppo import PPO

# A reward model of another base is asked with a template of its own.
NO_TEMPLATE: Mapping[str, Any] = {"chat_template": None, "chat_template_kwargs": {}}
NO_RANKINGS = "the spec names no rankings or pairs"


@dataclass(frozen=True, eq=False)
class Session:
    """expected: the rewards by what names them, with their factors. held_out: rankings that are
    only measured on. missing: why there are none.
    """

    spec: RunSpec
    settings: PPO
    folder: RunFolder
    reporter: Reporter
    stop: StopRequest
    accelerator: Accelerator
    base: LoadedBase
    roles: Roles
    passes: Passes
    sources: Sequence[tuple[Source, float]]
    expected: Sequence[tuple[str, float]]
    prompts: Prompts
    held_out: Sequence[Group] = ()
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def model(self) -> Any:
        return self.roles.model

    @property
    def sampling(self) -> Sampling:
        """As the spec says. Where the end of a turn is the padding too, lengths tell them apart."""
        tokenizer = self.base.tokenizer
        ends = ends_of_turn(tokenizer, self.base.model)
        return Sampling(
            samples=self.settings.samples,
            max_new_tokens=self.settings.max_new_tokens,
            temperature=self.settings.temperature,
            ends=ends,
            pad=ends[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
        )

    @property
    def starts_as_reference(self) -> bool:
        """Whether the actor is its own reference before the first update."""
        return self.spec.parent is None or self.spec.parent.use == "both"

    def decode(self, answer: Answer) -> str:
        tokens = answer.tokens[:-1] if answer.finished else answer.tokens
        text: str = self.base.tokenizer.decode(tokens, skip_special_tokens=True)
        return text


def open_session(
    spec: RunSpec, settings: PPO, folder: RunFolder, reporter: Reporter, stop: StopRequest
) -> Session:
    """Load everything. Raises SpecError and DataError in words, OutOfMemory."""
    accelerator = Accelerator()
    if accelerator.distributed_type.value == "FSDP":
        raise SpecError(
            "PPO needs the whole base on each GPU: its roles switch between its adapters.",
            advice="Start it with ddp.yaml, and hold a large base in nf4.",
        )
    torch.manual_seed(spec.training.seed)
    if warning := serving_warning(spec.lora):
        reporter.warn(warning)
    named = _Named.of(settings)  # what can be refused without the base, is
    reporter.phase("loading the base model")
    base = load_base(spec.base)
    reporter.phase("reading the data")
    prompts, longest = _prompts(spec, settings, base, folder, reporter)
    expected = named.identities(settings)
    start = _critic_start(spec, settings, base, named.stored, expected, reporter)
    roles = _roles(spec, settings, base, start, longest + settings.max_new_tokens)
    passes = Passes(roles.actor.layout, spec.training.tokens_per_pack, accelerator.device, stop)
    models = _Models(spec, settings, base, roles, passes, reporter)
    sources = [
        (named.functions.get(name) or models.load(number, named.stored[name]), weight)
        for number, (name, weight) in enumerate(settings.weighted())
    ]
    if warning := share_warning(roles.model, spec.lora):
        reporter.warn(warning)
    fuse(roles.model)
    check_head(roles.actor)
    held_out, missing = _held_out(spec, base)
    session = Session(
        spec=spec,
        settings=settings,
        folder=folder,
        reporter=reporter,
        stop=stop,
        accelerator=accelerator,
        base=base,
        roles=roles,
        passes=passes,
        sources=sources,
        expected=expected,
        prompts=prompts,
        held_out=held_out,
        missing=missing,
    )
    _note(session, longest)
    return session


@dataclass(frozen=True, eq=False)
class _Named:
    """What the spec names as rewards: functions, and reward models that are not loaded yet."""

    functions: Mapping[str, Source]
    stored: Mapping[str, StoredAdapter]

    @classmethod
    def of(cls, settings: PPO) -> "_Named":
        functions = {name: rewards.by_function(name) for name in settings.functions()}
        stored = {
            name: rewards.read_folder(Path(name), read_adapter(Path(name)))
            for name in settings.rewards
            if name not in functions
        }
        return cls(functions, stored)

    def identities(self, settings: PPO) -> list[tuple[str, float]]:
        """The rewards as another run can compare them, wherever their folders lie."""
        return [
            (self.stored[name].content_hash if name in self.stored else name, weight)
            for name, weight in settings.weighted()
        ]


def _prompts(
    spec: RunSpec, settings: PPO, base: LoadedBase, folder: RunFolder, reporter: Reporter
) -> tuple[Prompts, int]:
    """The prompts, and the tokens of the longest. Raises where an answer to it has no room."""
    prompts = load_prompts(spec.data, base.tokenizer)
    folder.write_json(folder.data_report, prompts.report.to_json())
    if warning := prompts.report.warning():
        reporter.warn(warning)
    longest = max(len(one.tokens) for one in (*prompts.train, *prompts.evaluation))
    refuse_longer(
        base,
        longest + settings.max_new_tokens,
        advice="Lower data.max_prompt_tokens or ppo.max_new_tokens.",
    )
    return prompts, longest


def _roles(
    spec: RunSpec,
    settings: PPO,
    base: LoadedBase,
    start: CriticStart | StoredCritic | None,
    longest: int,
) -> Roles:
    """The actor, its reference, and the critic if there is one. longest: tokens of a text."""
    seed = spec.training.seed
    model = attach_lora(base, spec.lora, spec.parent, seed=seed)
    head = None
    if isinstance(start, StoredCritic):
        head = go_on(model, start).to(base.device)
    elif settings.baseline == "critic":
        head = add_critic(base, model, start, seed=seed + 1)
    layout = choose_layout(model, spec.base.attention, longest)
    actor = Actor(model, layout, settings.temperature)
    return Roles(actor, None if head is None else Critic(model, layout, head))


def _critic_start(
    spec: RunSpec,
    settings: PPO,
    base: LoadedBase,
    stored: Mapping[str, StoredAdapter],
    expected: Sequence[tuple[str, float]],
    reporter: Reporter,
) -> CriticStart | StoredCritic | None:
    """The critic of the parent, if the actor goes on from it and its rewards are these.

    Otherwise the first reward model of this base, if the spec wants it.
    """
    if settings.baseline != "critic":
        return None
    if spec.parent and spec.parent.use != "reference":
        critic = read_critic(read_adapter(Path(spec.parent.adapter)))
        if critic is not None and critic.expects(expected):
            return critic
        if critic is not None:
            reporter.warn(
                "The parent's critic learned to expect other rewards than ppo.rewards: this run "
                "starts without it."
            )
    for name, weight in settings.weighted():
        found = stored.get(name)
        if settings.warm_critic and found and found.card["base"] == base.content_hash:
            return CriticStart(found, weight)
    return None


@dataclass(frozen=True, eq=False)
class _Models:
    """Loads reward models beside the actor."""

    spec: RunSpec
    settings: PPO
    base: LoadedBase
    roles: Roles
    passes: Passes
    reporter: Reporter

    def load(self, number: int, stored: StoredAdapter) -> Source:
        """number: among the rewards. Raises SpecError for one whose base nobody named."""
        if stored.card["base"] == self.base.content_hash:
            return rewards.on_base(stored, number, self.roles, self.passes)
        place = self.settings.reward_base
        if place is None:
            raise SpecError(
                f"ppo.rewards: {stored.folder.name} was trained on another base "
                f"({stored.card['base_name']}) than base.model ({self.base.name}).",
                advice="Name its base in ppo.reward_base, which takes its memory; or train a "
                "reward model on base.model.",
            )
        made = rewards.of_other(
            stored,
            number,
            self.spec.base.model_copy(update={"model": place, **NO_TEMPLATE}),
            self.passes,
        )
        size = sum(one.numel() * one.element_size() for one in made.scorer.parameters())
        self.reporter.warn(
            f"{stored.folder.name} is a reward model of another base ({made.base.name}): it takes "
            f"{size / 2**20:,.0f} MB beside base.model, which a reward model on base.model would "
            "not."
        )
        return made


def _held_out(spec: RunSpec, base: LoadedBase) -> tuple[Sequence[Group], dict[str, str]]:
    """Rankings on which the policy's agreement with people is measured, or why there are none."""
    data = spec.data
    if not (data.rankings + data.pairs + data.evaluation_rankings + data.evaluation_pairs):
        return (), _without(NO_RANKINGS)
    try:
        found = load_preferences(data, base.tokenizer, method=spec.method).evaluation
    except DataError as problem:
        return (), _without(problem.message)
    return found, {} if found else _without("no rankings are held out")


def _without(reason: str) -> dict[str, str]:
    return dict.fromkeys(("accuracy", "calibration", "agreement"), reason)


def _note(session: Session, longest: int) -> None:
    """Write what the run is made of, and show the memory that it will take."""
    spec, base, prompts = session.spec, session.base, session.prompts
    group = longest + session.settings.samples * session.settings.max_new_tokens
    tokens = max(group, min(spec.training.tokens_per_pack, group * spec.training.groups_per_step))
    shape = ModelShape.from_config(base.model.config)
    needed = estimate(shape, spec, tokens=tokens, wide=base.wide)
    session.reporter.memory(needed, session.model)
    session.folder.update_manifest(
        {
            "base": {"name": base.name, "hash": base.content_hash},
            "data_hash": prompts.content_hash,
            "template": template_hash(base.tokenizer),
            "layout": session.roles.actor.layout,
            "groups": {"train": len(prompts.train), "evaluation": len(prompts.evaluation)},
            "memory": {"estimate": needed.to_json()},
        }
    )
