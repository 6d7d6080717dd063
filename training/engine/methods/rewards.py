"""What rewards a completion in RLOO and GRPO: Python functions, and reward models of the engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from training.engine.adapters import StoredAdapter, read_adapter
from training.engine.adapters.files import put_weights
from training.engine.adapters.targets import as_named
from training.engine.errors import SpecError
from training.engine.groups import Group
from training.engine.methods.trl_session import Policy, adapter_active
from training.engine.reward_functions import Reward, imported
from training.engine.reward_head import load_head
from training.engine.scorers import Rewards
from training.engine.spec import Online


def reward_functions(policy: Policy, online: Online) -> list[Reward]:
    """One for each of the spec's rewards, in their order; TRL adds up what they return.

    Raises SpecError when a function cannot be imported or an adapter is no reward model of this
    base.
    """
    functions = online.functions()
    return [
        imported(one) if one in functions else RewardModel(policy, Path(one), f"reward_{number}")
        for number, one in enumerate(online.rewards)
    ]


class RewardModel:
    """A reward adapter on the policy's own base, one more adapter beside the policy's."""

    def __init__(self, policy: Policy, folder: Path, name: str) -> None:
        stored = _reward_adapter(policy, folder)
        self.__name__ = folder.name
        self._policy = policy
        self._name = name
        with as_named():
            policy.model.add_adapter(name, stored.config)
        put_weights(policy.model, stored, name)
        for parameter_name, parameter in policy.model.named_parameters():
            if f".{name}." in parameter_name:
                parameter.requires_grad_(False)
        head = load_head(folder).to(policy.base.device)
        self._scorer = Rewards(policy.model, head.requires_grad_(False), "unpacked")

    @torch.no_grad()
    def __call__(
        self,
        *,
        prompt_ids: Sequence[Sequence[int]],
        completion_ids: Sequence[Sequence[int]],
        **_: Any,
    ) -> list[float]:
        groups = [
            Group(str(number), tuple(prompt), (tuple(completion),))
            for number, (prompt, completion) in enumerate(
                zip(prompt_ids, completion_ids, strict=True)
            )
        ]
        scores: dict[str, float] = {}
        with adapter_active(self._policy.model, self._name):
            for packed in self._policy.packs(groups):
                values = self._scorer(packed).tolist()
                keys = [group.key for group in packed.groups]
                scores.update(zip(keys, values, strict=True))
        return [scores[group.key] for group in groups]


def _reward_adapter(policy: Policy, folder: Path) -> StoredAdapter:
    stored = read_adapter(folder)
    if not stored.is_reward_model:
        raise SpecError(
            f"online.rewards: {folder.name} is no reward model.",
            advice="Give an adapter that was trained with the method reward.",
        )
    if stored.card["base"] != policy.base.content_hash:
        raise SpecError(
            f"online.rewards: {folder.name} was trained on another base "
            f"({stored.card['base_name']}) than base.model ({policy.base.name}).",
            advice="Train the reward model on the same base; the two share its weights.",
        )
    return stored
