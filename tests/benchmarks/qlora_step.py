"""One QLoRA DPO step on packed rankings of K = 4, for a model of a given shape: time and memory.

The weights are random, so the shape of a 7B or 65B model needs no download; each layer is
quantized to NF4 as soon as it is made. `--shape 65b` is for a large GPU, `135m` runs anywhere.
"""

import argparse
import json
import time
from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from training.engine.adapters import reference_active
from training.engine.attention import BLOCKS
from training.engine.fused import fuse
from training.engine.groups import Group, Pair, Ranking
from training.engine.memory.estimate import estimate
from training.engine.memory.peak import PeakMemory
from training.engine.memory.shape import ModelShape
from training.engine.methods.dpo import Preference
from training.engine.optimizers import build_optimizer
from training.engine.packing import Pack, pack
from training.engine.scorers import LogProbs
from training.engine.spec import DPO, Optimizer, parse_spec

K = 4
SHAPES: dict[str, dict[str, int]] = {
    "135m": {"hidden": 576, "inner": 1536, "layers": 30, "heads": 9, "kv": 3, "vocab": 49152},
    "1b": {"hidden": 2048, "inner": 5632, "layers": 22, "heads": 32, "kv": 4, "vocab": 32000},
    "7b": {"hidden": 4096, "inner": 11008, "layers": 32, "heads": 32, "kv": 32, "vocab": 32000},
    "65b": {"hidden": 8192, "inner": 22016, "layers": 80, "heads": 64, "kv": 64, "vocab": 32000},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="135m")
    parser.add_argument("--prompt", type=int, default=512, help="tokens")
    parser.add_argument("--completion", type=int, default=256, help="tokens of each")
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with PeakMemory(device) as peak:
        model = random_model(config_of(options.shape), device)
        times = [*steps(model, options, device)]
        measured = peak.peak(model)
    tokens = options.prompt + K * options.completion
    wanted = estimate(ModelShape.from_config(config_of(options.shape)), _spec(tokens))
    result = {
        "shape": options.shape,
        "device": device.type,
        "tokens": tokens,
        "step_s": round(min(times), 3),
        "tokens_per_s": round(tokens / min(times), 1),
        "peak_gb": round(measured.allocated / 2**30, 2),
        "estimated_gb": round(wanted.training / 2**30, 2),
    }
    print(json.dumps(result))


def config_of(name: str) -> LlamaConfig:
    shape = SHAPES[name]
    return LlamaConfig(
        vocab_size=shape["vocab"],
        hidden_size=shape["hidden"],
        intermediate_size=shape["inner"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv"],
        tie_word_embeddings=name == "135m",
        max_position_embeddings=4096,
    )


def random_model(config: LlamaConfig, device: torch.device) -> Any:
    """A model on the device whose layers are NF4 with double quantization, made one by one."""
    with torch.device("meta"):
        model: Any = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    for layer in model.model.layers:
        for module in list(layer.modules()):
            for name, linear in list(module.named_children()):
                if type(linear) is nn.Linear:
                    setattr(module, name, _quantized(linear, device))
    model.model.rotary_emb = LlamaRotaryEmbedding(config).to(device)
    for name, parameter in list(model.named_parameters()):
        if parameter.is_meta:
            owner = model.get_submodule(name.rpartition(".")[0])
            leaf = name.rpartition(".")[2]
            values = torch.ones if parameter.dim() == 1 else torch.randn
            made = values(parameter.shape, dtype=torch.bfloat16, device=device)
            made = made if parameter.dim() == 1 else made.mul_(0.02)
            setattr(owner, leaf, nn.Parameter(made, requires_grad=False))
    model.tie_weights()
    model.config._attn_implementation = BLOCKS
    return model.train()


def _quantized(linear: nn.Linear, device: torch.device) -> nn.Module:
    layer: Any = Linear4bit(  # type: ignore[no-untyped-call]
        linear.in_features,
        linear.out_features,
        bias=False,
        compute_dtype=torch.bfloat16,
        compress_statistics=True,
        quant_type="nf4",
        device="meta",
    )
    weight = torch.randn(linear.out_features, linear.in_features, dtype=torch.bfloat16) * 0.02
    packed: Any = Params4bit(
        weight, requires_grad=False, compress_statistics=True, quant_type="nf4"
    )
    layer.weight = packed.to(device)
    # The CPU's kernel for inference repacks the weights in place; see base.prepare.
    layer.support_avx512bf16_for_cpu = False
    quantized: nn.Module = layer
    return quantized


def steps(model: Any, options: Any, device: torch.device) -> list[float]:
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")
    adapted: Any = get_peft_model(model, lora)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.disable_input_require_grads()
    fuse(adapted)
    scorer = LogProbs(adapted, "packed")

    @torch.no_grad()
    def reference(packed: Pack) -> Tensor:
        with reference_active(adapted):
            found: Tensor = scorer(packed)
        return found

    objective = Preference(scorer, reference, DPO())
    optimizer = build_optimizer(scorer, _optimizer())
    packed = pack([_group(options, model.config.vocab_size)]).to(device)
    times = []
    for _ in range(options.steps):
        begin = time.perf_counter()
        objective(scorer(packed), packed).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return times


def _group(options: Any, vocabulary: int) -> Group:
    draw = torch.Generator().manual_seed(0)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(vocabulary, (count,), generator=draw).tolist())

    pairs = tuple(Pair(a, b) for a in range(K) for b in range(a + 1, K))
    ranking = Ranking(tuple((one,) for one in range(K)), pairs)
    answers = tuple(tokens(options.completion) for _ in range(K))
    return Group("random", tokens(options.prompt), answers, (ranking,))


def _optimizer() -> Optimizer:
    return Optimizer(name="paged_adamw_8bit" if torch.cuda.is_available() else "adamw")


def _spec(tokens: int) -> Any:
    return parse_spec(
        {
            "method": "dpo",
            "base": {"model": "random", "precision": "nf4", "gradient_checkpointing": True},
            "data": {"rankings": ["none"]},
            "optimizer": {"name": _optimizer().name},
            "training": {"max_steps": 1, "tokens_per_pack": tokens},
        }
    )


if __name__ == "__main__":
    main()
