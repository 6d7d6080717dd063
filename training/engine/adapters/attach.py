"""Put a LoRA adapter on a base: a fresh one, or one that goes on from a parent."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, TaskType, get_peft_model

from training.engine.adapters.files import StoredAdapter, put_weights, read_adapter
from training.engine.adapters.names import POLICY, REFERENCE
from training.engine.adapters.targets import as_named, has_conv1d, target_modules
from training.engine.base import LoadedBase
from training.engine.errors import SpecError
from training.engine.spec import Lora, Parent

LARGEST_SERVED_RANK = 512  # vLLM 0.32 has slots of rank 1, 8, 16, 32, 64, 128, 256, 320 and 512


def attach_lora(
    base: LoadedBase, lora: Lora, parent: Parent | None = None, *, seed: int = 0
) -> Any:
    """A PeftModel with the trainable adapter "default", and a frozen "reference" if there is one.

    The adapters' weights are float32 whatever the base is. seed: draws the A matrices; B is zero,
    so a fresh adapter changes nothing. A parent is used as its `use` says; its weights are checked.
    Raises SpecError when the parent does not fit the base or the spec.
    """
    config = lora_config(base, lora)
    stored = _parent(base, parent)
    with _seeded(seed), as_named():
        model: Any = get_peft_model(base.model, config, adapter_name=POLICY)
    # With checkpointing PEFT makes the embeddings' output want gradients, which only the reentrant
    # kind needs; here it would cost one more backward pass through the first layer.
    base.model.disable_input_require_grads()
    if stored is None or parent is None:
        return model
    if parent.use != "reference":
        _refuse_other_shape(stored, model.peft_config[POLICY])
        put_weights(model, stored, POLICY)
    if parent.use != "continue":
        add_frozen(model, stored, REFERENCE)
    return model


def add_frozen(model: Any, stored: StoredAdapter, name: str) -> None:
    """A stored adapter beside those of a PEFT model, never trained; SpecError if it does not fit.

    What is trained of the model stays trained, and the active adapter active.
    """
    _add(model, replace(stored.config, lora_dropout=0.0), name)
    put_weights(model, stored, name)


def add_trained(model: Any, name: str, start: StoredAdapter | LoraConfig, *, seed: int = 0) -> None:
    """A further adapter that is trained: a fresh one of this shape, or one that goes on from start.

    Its weights are float32. seed: draws the A matrices of a fresh one.
    """
    stored = start if isinstance(start, StoredAdapter) else None
    config = start.config if isinstance(start, StoredAdapter) else start
    with _seeded(seed):
        _add(model, replace(config, inference_mode=False), name)
    if stored is not None:
        put_weights(model, stored, name)
    for parameter in adapter_parameters(model, name):
        parameter.requires_grad_(True)


def adapter_parameters(model: Any, name: str) -> list[Any]:
    """The weights of one adapter of a PEFT model."""
    return [one for full, one in model.named_parameters() if f".{name}." in full]


def _add(model: Any, config: LoraConfig, name: str) -> None:
    """Frozen at first; PEFT leaves nothing else as it was."""
    flags = {full: one.requires_grad for full, one in model.named_parameters()}
    with as_named():
        model.add_adapter(name, config)
    for full, parameter in model.named_parameters():
        parameter.requires_grad_(flags.get(full, False))


def lora_config(base: LoadedBase, lora: Lora) -> LoraConfig:
    """The standard PEFT form, which vLLM reads: no bias, no modules_to_save."""
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.scale_alpha,
        lora_dropout=lora.dropout,
        target_modules=target_modules(base.model, lora),
        use_rslora=lora.use_rslora,
        fan_in_fan_out=has_conv1d(base.model),
        bias="none",
        task_type=TaskType.CAUSAL_LM if base.kind == "causal" else TaskType.FEATURE_EXTRACTION,
    )


def serving_warning(lora: Lora) -> str | None:
    """In words, when vLLM cannot serve an adapter of this rank."""
    if lora.r <= LARGEST_SERVED_RANK:
        return None
    return (
        f"lora.r: vLLM serves adapters up to rank {LARGEST_SERVED_RANK}, not {lora.r}. "
        "Merge the adapter into the model to serve it, or lower the rank."
    )


def _parent(base: LoadedBase, parent: Parent | None) -> StoredAdapter | None:
    if parent is None:
        return None
    stored = read_adapter(Path(parent.adapter))
    if stored.card["base"] != base.content_hash:
        raise SpecError(
            f"parent.adapter: {stored.folder.name} was trained on another base "
            f"({stored.card['base_name']}) than base.model ({base.name}).",
            advice="Set base.model to the base of the parent.",
        )
    return stored


def _refuse_other_shape(stored: StoredAdapter, wanted: LoraConfig) -> None:
    """A policy that continues its parent has the parent's rank, scale and layers."""
    parent = stored.config
    pairs = {
        "lora.r": (parent.r, wanted.r),
        "lora.alpha": (parent.lora_alpha, wanted.lora_alpha),
        "lora.use_rslora": (parent.use_rslora, wanted.use_rslora),
        "lora.targets": (_names(parent), _names(wanted)),
    }
    wrong = [
        f"{field} is {theirs} in the parent and {ours} in the spec"
        for field, (theirs, ours) in pairs.items()
        if theirs != ours
    ]
    if wrong:
        raise SpecError(
            f"parent.adapter: {stored.folder.name} cannot be continued: {'; '.join(wrong)}.",
            advice="Give the spec the parent's values, or use the parent only as the reference.",
        )


def _names(config: LoraConfig) -> str:
    return ", ".join(sorted(config.target_modules or ()))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """PEFT draws on the CPU from the global generator, which is put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
