"""What a run leaves behind: its adapter with a card, merged into the base if the spec says so."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from training.engine.adapters import save_adapter
from training.engine.base import LoadedBase
from training.engine.data import template_hash
from training.engine.merge import merge
from training.engine.process import RunFolder
from training.engine.reward_head import RewardHead
from training.engine.spec import RunSpec


def write_adapter(
    spec: RunSpec,
    folder: RunFolder,
    base: LoadedBase,
    model: Any,
    data_hash: str,
    *,
    head: RewardHead | None = None,
    state: Mapping[str, Tensor] | None = None,
    beside: Callable[[Path], None] | None = None,
) -> str:
    """The adapter of a PEFT model; returns its content hash.

    head: of a reward model. state: the weights by name where processes share them. beside: writes
    what else belongs to it. For the first process only. Raises OSError when it cannot be written.
    """
    card: dict[str, Any] = {
        "base": base.content_hash,
        "base_name": base.name,
        "method": spec.method.value,
        "template": template_hash(base.tokenizer),
        "spec": shareable(spec, base.name),
        "data": data_hash,
    }
    if spec.base.chat_template or spec.base.chat_template_kwargs:
        # As it was used, with its settings, for whoever asks the adapter later.
        card["chat_template"] = base.tokenizer.chat_template
    content_hash = save_adapter(
        model, folder.adapter, card=card, head=head, state=state, beside=beside
    )
    folder.update_manifest({"adapter": content_hash})
    return content_hash


def write_merged(spec: RunSpec, folder: RunFolder) -> None:
    """The base with the run's adapter merged into it, anew when it is there already."""
    shutil.rmtree(folder.merged, ignore_errors=True)
    merge(folder.adapter, spec.base, folder.merged)


def shareable(spec: RunSpec, base_name: str) -> dict[str, Any]:
    """The spec as it goes with an adapter: of paths on this machine only the last part."""
    found = spec.model_dump(mode="json")
    found["base"]["model"] = base_name
    if spec.base.chat_template:
        found["base"]["chat_template"] = Path(spec.base.chat_template).name
    data = found["data"]
    for field, value in data.items():
        if isinstance(value, list):
            data[field] = [Path(path).name for path in value]
    if data["general_text"]:
        data["general_text"] = Path(data["general_text"]).name
    if found["parent"]:
        found["parent"]["adapter"] = Path(found["parent"]["adapter"]).name
    if found["dpo"] and found["dpo"]["reference_cache"]:
        found["dpo"]["reference_cache"] = Path(found["dpo"]["reference_cache"]).name
    if spec.online:
        functions = spec.online.functions()
        found["online"]["rewards"] = [
            reward if reward in functions else Path(reward).name for reward in spec.online.rewards
        ]
    if spec.ppo:
        functions = spec.ppo.functions()
        found["ppo"]["rewards"] = [
            reward if reward in functions else Path(reward).name for reward in spec.ppo.rewards
        ]
        found["ppo"]["server"] = None
        if spec.ppo.reward_base:
            found["ppo"]["reward_base"] = Path(spec.ppo.reward_base).name
    return found
