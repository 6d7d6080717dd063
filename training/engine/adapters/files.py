"""Adapters as folders: the standard PEFT form, a card, and a hash over what they hold.

A folder has adapter_model.safetensors, adapter_config.json, reward_head.safetensors for a reward
model, critic.safetensors for a policy of PPO that had one, and adapter.json: the card, the sha256
of each file, and one over those.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.engine import reward_head
from training.engine.adapters.names import POLICY
from training.engine.adapters.targets import as_named
from training.engine.errors import SpecError
from training.engine.reward_head import RewardHead
from training.engine.whole import whole_folder

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
CARD = "adapter.json"
CARD_KEYS = ("base", "base_name", "method", "template", "spec")


@dataclass(frozen=True)
class StoredAdapter:
    """A folder whose files are whole. content_hash: sha256 over all of them but the card."""

    folder: Path
    content_hash: str
    card: dict[str, Any]
    config: LoraConfig

    @property
    def is_reward_model(self) -> bool:
        return reward_head.FILE in self.card["files"]


def save_adapter(
    model: Any,
    folder: Path,
    *,
    card: Mapping[str, Any],
    head: RewardHead | None = None,
    state: Mapping[str, Tensor] | None = None,
    beside: Callable[[Path], None] | None = None,
) -> str:
    """Write the policy's adapter whole or not at all; returns its content hash.

    card: base (content hash), base_name (without a path), method, template (hash of the chat
    template), spec, and what else is worth knowing; JSON values. head: of a reward model. state:
    the full weights by name when they are spread over processes. beside: writes what else belongs
    to the adapter into the folder. Raises ValueError for a card that lacks something, OSError when
    the folder cannot be written.
    """
    lacking = [key for key in CARD_KEYS if key not in card]
    if lacking:
        raise ValueError(f"the card lacks {', '.join(lacking)}")
    weights = get_peft_model_state_dict(
        model, state_dict=state, adapter_name=POLICY, save_embedding_layers=False
    )
    tensors = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
    config = _config_json(model.peft_config[POLICY], card["base_name"])
    with whole_folder(folder) as draft:
        save_file(tensors, draft / WEIGHTS, metadata={"format": "pt"})
        (draft / CONFIG).write_text(config)
        if head is not None:
            reward_head.save_head(head, draft)
        if beside is not None:
            beside(draft)
        files = {path.name: _sha256(path) for path in sorted(draft.iterdir())}
        content = _combined(files)
        text = json.dumps({**card, "files": files, "sha256": content}, indent=2, ensure_ascii=False)
        (draft / CARD).write_text(text + "\n")
    return content


def _config_json(config: LoraConfig, base_name: str) -> str:
    """Without a path of this machine, and in the same order every time: it is hashed."""
    fields: dict[str, Any] = asdict(config)
    fields |= {"base_model_name_or_path": base_name, "inference_mode": True, "revision": None}
    fields.pop("runtime_config", None)
    plain = {
        name: sorted(value) if isinstance(value, set) else value for name, value in fields.items()
    }
    return json.dumps(plain, indent=2, sort_keys=True) + "\n"


def read_adapter(folder: Path) -> StoredAdapter:
    """Check every file against the card. Raises SpecError when one is missing or changed."""
    card = _card(folder)
    for name, expected in card["files"].items():
        if Path(name).name != name or not (folder / name).is_file():
            raise _broken(folder, f"{name} is missing")
        if _sha256(folder / name) != expected:
            raise _broken(folder, f"{name} is cut off or was changed")
    if _combined(card["files"]) != card["sha256"]:
        raise _broken(folder, f"{CARD} was changed")
    try:
        config = LoraConfig.from_pretrained(str(folder))
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise _broken(folder, f"{CONFIG} is not understood ({problem})") from problem
    return StoredAdapter(folder, card["sha256"], card, config)


def _card(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise SpecError(f"There is no adapter folder {folder}.", advice="Check the path.")
    try:
        card = json.loads((folder / CARD).read_bytes())
    except FileNotFoundError as problem:
        raise _broken(folder, f"it has no {CARD}, so Prefloop did not write it") from problem
    except ValueError as problem:
        raise _broken(folder, f"{CARD} is cut off or was changed") from problem
    if not isinstance(card, dict) or any(key not in card for key in (*CARD_KEYS, "sha256")):
        raise _broken(folder, f"{CARD} is not complete")
    if not isinstance(card.get("files"), dict) or not {WEIGHTS, CONFIG} <= card["files"].keys():
        raise _broken(folder, f"{CARD} is not complete")
    return card


def _broken(folder: Path, why: str) -> SpecError:
    return SpecError(
        f"The adapter {folder.name} cannot be used: {why}.",
        advice="Copy the adapter again from where it was trained.",
    )


def load_adapter(model: Any, adapter: StoredAdapter, *, name: str = POLICY) -> Any:
    """A PeftModel of the base `model` with the stored adapter, frozen.

    Raises SpecError when the adapter's layers are not the model's.
    """
    config = replace(adapter.config, base_model_name_or_path=None, inference_mode=True)
    try:
        with as_named():
            peft: Any = get_peft_model(model, config, adapter_name=name)
    except ValueError as problem:
        raise _broken(adapter.folder, f"it is for another model ({problem})") from problem
    put_weights(peft, adapter, name)
    for parameter in peft.parameters():
        parameter.requires_grad_(False)
    return peft


def put_weights(model: Any, adapter: StoredAdapter, name: str) -> None:
    """Copy the stored weights into the adapter `name` of a PeftModel; SpecError if they differ."""
    try:
        weights = load_file(adapter.folder / WEIGHTS)
    except (OSError, SafetensorError) as problem:
        raise _broken(adapter.folder, f"{WEIGHTS} cannot be read ({problem})") from problem
    put_tensors(model, weights, name, adapter.folder)


def put_tensors(model: Any, weights: Mapping[str, Tensor], name: str, folder: Path) -> None:
    """The same of weights that are read already. folder: whose they are, for the error."""
    expected = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    shapes = {key: tensor.shape for key, tensor in expected.items()}
    if shapes != {key: tensor.shape for key, tensor in weights.items()}:
        raise _broken(folder, "its layers are not those of this model")
    set_peft_model_state_dict(model, dict(weights), adapter_name=name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _combined(files: Mapping[str, str]) -> str:
    lines = "".join(f"{name} {files[name]}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()
