"""Make a loaded model ready for adapters: frozen, and the same at every forward.

PEFT's `prepare_model_for_kbit_training` is not used. It raises everything that is not quantized to
float32: of SmolLM2-135M the embeddings alone then take 113 MB instead of 57, more than all its NF4
layers together, for nothing: norms reduce in float32 by themselves, and the language-model head
takes its log-softmax in float32 chunk by chunk.
"""

from typing import Any

from torch import nn


def prepare(model: Any, *, gradient_checkpointing: bool) -> None:
    """Freeze all weights, end dropout and the KV cache, and checkpoint activations if wanted.

    Checkpointing works only while the model is in training mode (`model.train()`).
    """
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    without_dropout(model)
    model.config.get_text_config().use_cache = False
    model.config.use_cache = False
    if gradient_checkpointing:
        # Not reentrant: gradients then reach the adapters although the embeddings need none.
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def without_dropout(model: Any) -> None:
    """Preference losses compare a policy with its reference: noise in one would count as a change.

    The dropout of adapters is added later and stays what the spec says.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        _zero(module)
    _zero(model.config.get_text_config())
    _zero(model.config)


def _zero(owner: Any) -> None:
    """Rates that are plain attributes: modules hand them to functional dropout."""
    for name, value in list(vars(owner).items()):
        if isinstance(value, float) and ("dropout" in name or name.endswith("pdrop")):
            setattr(owner, name, 0.0)


def without_repacking(model: Any) -> None:
    """Keep 4-bit weights as they are on the CPU.

    In evaluation on a CPU with AVX512-BF16, bitsandbytes 0.50 reorders them in place for a kernel
    that knows no gradients. Training afterwards runs through the same kernel: no error, and every
    gradient below the last layer is wrong.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def without_pooler(model: Any) -> None:
    """Rewards are read off the last hidden states. A pooler (BERT's) would be an unused layer,

    whose adapter never gets a gradient, and DistributedDataParallel refuses such.
    """
    if isinstance(getattr(model, "pooler", None), nn.Module):
        model.pooler = None
