"""Adapter folders as the training engine writes them, small and made in no time."""

import hashlib
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from inference import adapter_store
from inference.adapters import register_adapter
from inference.models import Adapter


def write_adapter(
    folder: Path,
    *,
    seed: int = 0,
    rank: int = 8,
    base_name: str = "base",
    layers: int = 1,
    width: int = 16,
    scale: float = 1.0,
) -> Path:
    """Random weights beside the query projections; `scale` is that of the B matrices."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    weights = {}
    for layer in range(layers):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        up, down = random.normal(size=(rank, width)), random.normal(size=(width, rank))
        weights[f"{name}.lora_A.weight"] = up.astype(np.float32)
        weights[f"{name}.lora_B.weight"] = (scale * down).astype(np.float32)
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    write_card(folder, base_name)
    return folder


def write_card(folder: Path, base_name: str = "base") -> None:
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != "adapter.json"
    }
    lines = "".join(f"{name} {files[name]}\n" for name in sorted(files))
    card = {
        "base": "b" * 64,
        "base_name": base_name,
        "method": "dpo",
        "template": "t" * 64,
        "spec": {},
        "files": files,
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }
    (folder / "adapter.json").write_text(json.dumps(card))


def registered(folder: Path, base: str = "base") -> Adapter:
    """The adapter in the folder, put into the storage and known from there."""
    return register_adapter(content_hash=adapter_store.store(folder).content_hash, base=base)
