"""Which layers of a model take an adapter."""

from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from training.engine.errors import SpecError
from training.engine.spec import Lora


def target_modules(model: Any, lora: Lora) -> list[str]:
    """Names of layers as PEFT and vLLM match them: by the end of their path, in order.

    Never the language-model head, never embeddings: vLLM does not serve adapters of those, and a
    head is often the embedding itself. Raises SpecError when a name matches no linear layer.
    """
    found = linear_names(model)
    if lora.targets == "all-linear":
        return sorted(found)
    unknown = sorted(set(lora.targets) - found)
    if unknown:
        raise SpecError(
            f"lora.targets: this model has no linear layer {', '.join(unknown)}.",
            advice=f'Choose among {", ".join(sorted(found))}, or set "all-linear".',
        )
    return sorted(set(lora.targets))


def linear_names(model: Any) -> set[str]:
    """The last part of the path of every linear layer but the head."""
    head = model.get_output_embeddings()
    return {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    }


def has_conv1d(model: Any) -> bool:
    """GPT-2 keeps its weights transposed, and PEFT wants to be told."""
    return any(isinstance(module, Conv1D) for module in model.modules())
