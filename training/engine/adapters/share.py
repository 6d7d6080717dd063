"""How much of a model an adapter reaches.

transformers holds the experts of a mixture as 3-D weights, which are no linear layers: neither
"all-linear" nor quantization reaches them. What is left out is said, as a share.
"""

from typing import Any

import torch
from torch import nn

from training.engine.spec import Lora

# Routers, norms and small convolutions are left out of every model.
ENOUGH = 0.9


def adapted_share(model: Any) -> float:
    """The share of the weights between embeddings and head whose layers have an adapter.

    model: of PEFT. By numbers in its matrices and experts; vectors do not count.
    """
    whole = adapted = 0
    outside = _outside(model)
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            adapted += module.in_features * module.out_features
            whole += module.in_features * module.out_features
        elif not _is_part_of_adapter(name):
            own = [one for one in module.parameters(recurse=False) if one.dim() >= 2]
            whole += sum(one.numel() for one in own if id(one) not in outside)
    return adapted / whole if whole else 1.0


def share_warning(model: Any, lora: Lora) -> str | None:
    """In words, when "all-linear" leaves out much of the model. model: of PEFT."""
    if lora.targets != "all-linear":
        return None
    share = adapted_share(model)
    if share >= ENOUGH:
        return None
    return (
        f"lora.targets: the adapter reaches {share:.0%} of the weights of this model. Experts of a "
        "mixture are no linear layers and stay as they are: attention, dense layers and shared "
        "experts learn, and only those are quantized where base.precision asks for it. A higher "
        "lora.r gives them more to learn with."
    )


def _is_part_of_adapter(name: str) -> bool:
    return ".lora_" in name or name.endswith(".base_layer")


def _outside(model: Any) -> set[int]:
    """Embeddings and the head."""
    parts = [one for one in model.modules() if isinstance(one, nn.Embedding)]
    head = model.get_output_embeddings()
    weights = [one.weight for one in parts if isinstance(one.weight, torch.Tensor)]
    return {id(one) for one in (*weights, *([] if head is None else head.parameters()))}
