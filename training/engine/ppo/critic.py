"""The critic of a run, kept beside its adapter: a run that goes on from there has it again.

What it says is kept in the units of the rewards: the next run measures a scale of its own.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from training.engine.adapters import CRITIC, POLICY, StoredAdapter, add_trained, put_tensors
from training.engine.errors import SpecError
from training.engine.ppo.roles import Roles, ValueHead
from training.engine.ppo.scale import Scale

FILE = "critic.safetensors"
HEAD = "value_head."
SHAPE = ("r", "lora_alpha", "use_rslora", "target_modules", "fan_in_fan_out")
# Of each reward what names it, a content hash or a function, and its factor.
Rewards = Sequence[tuple[str, float]]


@dataclass(frozen=True, eq=False)
class StoredCritic:
    """shape: fields of its LoraConfig. rewards: what it learned to expect."""

    folder: Path
    shape: dict[str, Any]
    rewards: list[list[Any]]
    weights: dict[str, Tensor]
    head: dict[str, Tensor]

    def expects(self, rewards: Rewards) -> bool:
        return self.rewards == [list(one) for one in rewards]


def save_critic(roles: Roles, scale: Scale, rewards: Rewards, folder: Path) -> None:
    """Nothing without a critic. Raises OSError when it cannot be written."""
    if roles.critic is None:
        return
    model, head = roles.model, roles.critic.head
    tensors = get_peft_model_state_dict(model, adapter_name=CRITIC, save_embedding_layers=False)
    raw = {"weight": head.weight * scale.deviation, "bias": head.bias * scale.deviation}
    if head.weight.any():  # as in ValueHead.put_on
        raw["bias"] = raw["bias"] + scale.mean
    tensors |= {HEAD + name: value for name, value in raw.items()}
    config = asdict(model.peft_config[CRITIC])
    shape = {name: config[name] for name in SHAPE}
    shape["target_modules"] = sorted(shape["target_modules"])
    save_file(
        {name: one.detach().cpu().float().contiguous() for name, one in tensors.items()},
        folder / FILE,
        metadata={"format": "pt", "shape": json.dumps(shape), "rewards": json.dumps(list(rewards))},
    )


def read_critic(stored: StoredAdapter) -> StoredCritic | None:
    """None where the adapter has none. Raises SpecError for a file that cannot be read."""
    if FILE not in stored.card["files"]:
        return None
    try:
        with safe_open(stored.folder / FILE, framework="pt") as file:
            told = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        shape, rewards = json.loads(told["shape"]), json.loads(told["rewards"])
        heads = {name: tensors.pop(HEAD + name) for name in ("weight", "bias")}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as problem:
        raise SpecError(
            f"The critic of {stored.folder.name} cannot be read: {problem}",
            advice="Copy the adapter again.",
        ) from problem
    return StoredCritic(stored.folder, shape, rewards, tensors, heads)


@torch.no_grad()
def go_on(model: Any, critic: StoredCritic) -> ValueHead:
    """Put the critic's adapter on the model, to be trained on; returns its head."""
    shape = {**critic.shape, "target_modules": set(critic.shape["target_modules"])}
    config: LoraConfig = replace(model.peft_config[POLICY], **shape)
    add_trained(model, CRITIC, config)
    put_tensors(model, critic.weights, CRITIC, critic.folder)
    head = ValueHead(critic.head["weight"].shape[-1])
    with torch.no_grad():
        head.weight.copy_(critic.head["weight"])
        head.bias.copy_(critic.head["bias"])
    return head
