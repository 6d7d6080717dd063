"""What a model's configuration says of its size, without its weights."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)
from transformers.pytorch_utils import Conv1D

from training.engine.routers import is_router

# Of the weights that could be quantized; below, most of a model would stay in 16 bit.
LEAST_QUANTIZED = 0.5


@dataclass(frozen=True, slots=True)
class Linear:
    """`count` layers of this name, from `inputs` to `outputs` features, biases not counted."""

    name: str
    count: int
    inputs: int
    outputs: int

    @property
    def parameters(self) -> int:
        return self.count * self.inputs * self.outputs


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes of a transformer that memory depends on.

    linears: the layers that are quantized and that take LoRA: all but the head. rest: parameters of
    embeddings, norms, biases and the head (a tied head is no further parameter), and of the experts
    of a mixture, which are no linear layers; experts: those alone. gated: the feed-forward block
    multiplies two projections (SwiGLU).
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    gated: bool
    linears: tuple[Linear, ...]
    rest: int
    experts: int = 0

    @classmethod
    def from_config(cls, config: Any) -> "ModelShape":
        """Count what a transformers configuration would build; no weight is allocated."""
        text = config.get_text_config()
        model = _skeleton(config)
        total = sum(parameter.numel() for parameter in model.parameters())
        linears = tuple(_linears(model))
        heads = text.num_attention_heads
        return cls(
            layers=text.num_hidden_layers,
            hidden=text.hidden_size,
            intermediate=_intermediate(text),
            heads=heads,
            kv_heads=getattr(text, "num_key_value_heads", None) or heads,
            head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
            vocabulary=text.vocab_size,
            tied=bool(getattr(text, "tie_word_embeddings", False)),
            gated=any(one.name in ("gate_proj", "gate_up_proj") for one in linears),
            linears=linears,
            rest=total - sum(one.parameters for one in linears),
            experts=sum(
                one.numel() for name, one in model.named_parameters() if _of_experts(name, one)
            ),
        )

    @property
    def parameters(self) -> int:
        return self.rest + self.linear

    @property
    def attention(self) -> int:
        """Features of all queries of a token."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Features of all keys of a token; its values have as many."""
        return self.kv_heads * self.head_dim

    @property
    def linear(self) -> int:
        """Parameters of the linear layers."""
        return sum(one.parameters for one in self.linears)

    def targets(self, names: Iterable[str] | None) -> tuple[Linear, ...]:
        """The layers that LoRA is put on; None: all linear layers but the routers."""
        if names is None:
            return tuple(one for one in self.linears if not is_router(one.name))
        wanted = set(names)
        return tuple(one for one in self.linears if one.name in wanted)


def _of_experts(name: str, weight: torch.Tensor) -> bool:
    """One matrix for each expert, in a weight of three dimensions; convolutions have such too."""
    return weight.dim() >= 3 and "conv" not in name


def _skeleton(config: Any) -> nn.Module:
    builder: Any = AutoModelForCausalLM if _causal(config) else AutoModel
    with torch.device("meta"):
        model: nn.Module = builder.from_config(config)
    return model


def _causal(config: Any) -> bool:
    """Not BERT-class, of which there is a causal variant that nobody asks for."""
    if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return bool(getattr(config, "is_decoder", False))
    return config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def _intermediate(text: Any) -> int:
    width = getattr(text, "intermediate_size", None) or getattr(text, "n_inner", None)
    return int(width or 4 * text.hidden_size)


def _linears(model: Any) -> Iterable[Linear]:
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    counts: Counter[tuple[str, int, int]] = Counter()
    for name, module in model.named_modules():
        if module is head or not isinstance(module, nn.Linear | Conv1D):
            continue
        outputs, inputs = module.weight.shape
        if isinstance(module, Conv1D):
            inputs, outputs = outputs, inputs
        counts[name.rpartition(".")[2], inputs, outputs] += 1
    for (name, inputs, outputs), count in counts.items():
        yield Linear(name, count, inputs, outputs)
