"""One autograd step for a frozen linear layer with its LoRA.

PEFT computes `W x + s B A x` operation by operation: four passes over the outputs and one more over
the inputs for every layer, and on two cores those cost as much as the products. Here the products
accumulate into each other, and nothing but the input and its projection is kept for the backward
pass. Same mathematics (Hu et al. 2021, eq. 3); the adapter's weights stay in float32 and are
rounded to the base's precision for the products, as autocast would.
"""

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


class _LoraProduct(torch.autograd.Function):
    """(T, I) -> (T, O), for a frozen weight that `dense` yields as (O, I)."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        base: nn.Module,
        down: Tensor,
        up: Tensor,
        scale: float,
    ) -> Tensor:
        dtype = inputs.dtype
        down_, up_ = down.to(dtype), up.to(dtype)
        projected = inputs @ down_.t()
        bias: Tensor | None = base.bias  # type: ignore[assignment]
        weight = dense(base, dtype)
        out = inputs @ weight.t() if bias is None else torch.addmm(bias, inputs, weight.t())
        out.addmm_(projected, up_.t(), alpha=scale)
        ctx.base, ctx.scale = base, scale
        ctx.save_for_backward(inputs, projected, down, up)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        inputs, projected, down, up = ctx.saved_tensors
        dtype = inputs.dtype
        (grad,) = grads
        slope = (grad @ up.to(dtype)).mul_(ctx.scale)
        d_up = (grad.t() @ projected).mul_(ctx.scale) if ctx.needs_input_grad[3] else None
        d_down = slope.t() @ inputs if ctx.needs_input_grad[2] else None
        d_inputs = None
        if ctx.needs_input_grad[0]:
            d_inputs = grad @ dense(ctx.base, dtype)
            d_inputs.addmm_(slope, down.to(dtype))
        return d_inputs, None, _as(d_down, down), _as(d_up, up), None


def _as(grad: Tensor | None, parameter: Tensor) -> Tensor | None:
    return None if grad is None else grad.to(parameter.dtype)


def dense(layer: Any, dtype: torch.dtype) -> Tensor:
    """The (O, I) weight of a frozen layer; a 4-bit one is unpacked each time it is needed."""
    weight = layer.weight
    if isinstance(layer, Conv1D):
        return weight.t()  # type: ignore[no-any-return]
    state = getattr(weight, "quant_state", None)
    if state is None:
        return weight  # type: ignore[no-any-return]
    return _dequantized(weight, state).to(dtype)


def _dequantized(weight: Tensor, state: Any) -> Tensor:
    # bitsandbytes is wanted only by quantized bases, and it takes a second to import.
    from bitsandbytes.functional import dequantize_4bit

    found: Tensor = dequantize_4bit(weight.data, state)
    return found


def _fused_forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    name = _only_adapter(self)
    if name is None or args or kwargs or x.dtype != _precision(self.base_layer, x):
        plain: Tensor = type(self).forward(self, x, *args, **kwargs)
        return plain
    flat = x.reshape(-1, x.shape[-1])
    out: Tensor = _LoraProduct.apply(  # type: ignore[no-untyped-call]
        flat,
        self.base_layer,
        self.lora_A[name].weight,
        self.lora_B[name].weight,
        self.scaling[name],
    )
    return out.view(*x.shape[:-1], out.shape[-1])


def _precision(base: Any, inputs: Tensor) -> torch.dtype:
    """The precision in which the base computes; a 4-bit one takes its input's."""
    weight = base.weight
    return inputs.dtype if getattr(weight, "quant_state", None) is not None else weight.dtype


def _only_adapter(layer: Any) -> str | None:
    """The one active adapter if it is plain LoRA without dropout; None: PEFT's own way."""
    if layer.disable_adapters or layer.merged or len(layer.active_adapters) != 1:
        return None
    (name,) = layer.active_adapters
    if name not in layer.lora_A or name in layer.lora_variant or layer.lora_bias.get(name):
        return None
    dropout = layer.lora_dropout[name]
    if isinstance(dropout, nn.Dropout) and dropout.p > 0 and layer.training:
        return None
    return str(name)


def fuse(model: nn.Module) -> int:
    """Let every LoRA layer of a PEFT model that can, compute in one step; returns how many do."""
    found = 0
    for module in model.modules():
        if _fusible(module):
            module.forward = MethodType(_fused_forward, module)
            found += 1
    return found


def _fusible(module: Any) -> bool:
    base = getattr(module, "base_layer", None)
    if isinstance(module, LoraLinear):
        return type(base) in (nn.Linear, Conv1D)
    return type(module).__name__ == "Linear4bit" and hasattr(module, "lora_A")
