"""Which layers of a model take an adapter."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peft import LoraConfig
from peft.tuners.tuners_utils import _check_lora_target_modules_mamba
from peft.utils import transformers_weight_conversion
from torch import nn
from transformers.pytorch_utils import Conv1D

from training.engine.errors import SpecError
from training.engine.routers import is_router
from training.engine.spec import Lora


def target_modules(model: Any, lora: Lora) -> list[str]:
    """Names of layers as PEFT and vLLM match them: by the end of their path, in order.

    Never the language-model head, never embeddings: vLLM does not serve adapters of those, and a
    head is often the embedding itself. A router of a mixture of experts only where it is named.
    Those that PEFT leaves alone, as parts of Mamba's that are fused with others, are none of all.
    Raises SpecError when a name matches no linear layer, or one of those.
    """
    found = linear_names(model)
    if lora.targets == "all-linear":
        return sorted(name for name in found if not _left_by_peft(model, name))
    unknown = sorted(set(lora.targets) - found - linear_names(model, routers=True))
    if unknown:
        raise SpecError(
            f"lora.targets: this model has no linear layer {', '.join(unknown)}.",
            advice=f'Choose among {", ".join(sorted(found))}, or set "all-linear".',
        )
    if left := sorted(name for name in set(lora.targets) if _left_by_peft(model, name)):
        raise SpecError(
            f"lora.targets: PEFT does not adapt {', '.join(left)} in this kind of model.",
            advice=f'Leave out {", ".join(left)}, or set "all-linear", which does.',
        )
    return sorted(set(lora.targets))


def _left_by_peft(model: Any, name: str) -> bool:
    """PEFT keeps the list of architectures and layers to itself, and only refuses."""
    try:
        _check_lora_target_modules_mamba(LoraConfig(), model, name)
    except ValueError:
        return True
    return False


def linear_names(model: Any, *, routers: bool = False) -> set[str]:
    """The last part of the path of every linear layer but the head; routers: of those instead."""
    head = model.get_output_embeddings()
    return {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
        and module is not head
        and is_router(name) == routers
    }


@contextmanager
def as_named() -> Iterator[None]:
    """Inside, PEFT adapts the layers that are named, and no others.

    For some mixtures of experts it takes the names of feed-forward layers for the experts' 3-D
    weights instead: dense layers and shared experts then get nothing, and vLLM reads no such
    adapter.
    """
    convert = transformers_weight_conversion.convert_peft_config_for_transformers
    transformers_weight_conversion.convert_peft_config_for_transformers = _left_alone
    try:
        yield
    finally:
        transformers_weight_conversion.convert_peft_config_for_transformers = convert


def _left_alone(*_: Any, **__: Any) -> None:
    """The configuration stays as it is."""


def has_conv1d(model: Any) -> bool:
    """GPT-2 keeps its weights transposed, and PEFT wants to be told."""
    return any(isinstance(module, Conv1D) for module in model.modules())
