"""Mixtures of experts: what an adapter and quantization reach of them, said and not silent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    DeepseekV3Config,
    JambaConfig,
    LlamaConfig,
    MixtralConfig,
    PretrainedConfig,
    Qwen3MoeConfig,
    Qwen3NextConfig,
)

from tests.training.tiny import VOCABULARY, tiny_tokenizer
from training.engine.adapters import (
    adapted_share,
    attach_lora,
    load_adapter,
    read_adapter,
    save_adapter,
    share_warning,
)
from training.engine.base import LoadedBase, load_base
from training.engine.errors import SpecError
from training.engine.memory.estimate import weight_rows
from training.engine.memory.shape import ModelShape
from training.engine.spec import Base, Lora, Precision

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS: dict[str, Any] = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}


def mixtral() -> PretrainedConfig:
    return MixtralConfig(**SIZES, num_local_experts=4)


def qwen3_moe() -> PretrainedConfig:
    four: dict[str, Any] = {"num_experts": 4, "head_dim": 8}
    return Qwen3MoeConfig(**SIZES, **EXPERTS, **four)


def jamba() -> PretrainedConfig:
    places: dict[str, Any] = {"attn_layer_period": 2, "attn_layer_offset": 1}
    experts: dict[str, Any] = {"num_experts": 4, "expert_layer_period": 2}
    experts["expert_layer_offset"] = 1
    return JambaConfig(**SIZES, **places, **experts, mamba_d_state=4)


def deepseek_v3() -> PretrainedConfig:
    ranks: dict[str, Any] = {"kv_lora_rank": 8, "q_lora_rank": 8}
    heads: dict[str, Any] = {"qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8}
    groups: dict[str, Any] = {"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1}
    sizes = SIZES | {"num_key_value_heads": 4}
    return DeepseekV3Config(**sizes, **EXPERTS, **ranks, **heads, **groups, n_routed_experts=32)


def qwen3_next() -> PretrainedConfig:
    linear: dict[str, Any] = {"linear_num_key_heads": 2, "linear_num_value_heads": 2}
    heads: dict[str, Any] = {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
    heads["head_dim"] = 8
    shared: dict[str, Any] = {"num_experts": 4, "shared_expert_intermediate_size": 16}
    return Qwen3NextConfig(**SIZES, **EXPERTS, **linear, **heads, **shared)


MIXTURES = (mixtral, qwen3_moe, jamba, deepseek_v3, qwen3_next)
Make = Callable[[], PretrainedConfig]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def folder(tmp_path: Path, make: Make) -> Path:
    place = tmp_path / make.__name__
    if not place.exists():
        torch.manual_seed(3)
        loader: Any = AutoModelForCausalLM
        loader.from_config(make()).float().save_pretrained(place)
        tiny_tokenizer().save_pretrained(place)
    return place


def loaded(tmp_path: Path, make: Make, precision: str = "fp32") -> LoadedBase:
    return load_base(Base(model=str(folder(tmp_path, make)), precision=Precision(precision)))


def adapted(model: Any) -> set[str]:
    """Paths of the layers with an adapter, below the model's own name for itself."""
    return {
        name.split(".layers.")[-1]
        for name, module in model.named_modules()
        if "lora_A" in dict(module.named_children())
    }


@pytest.mark.parametrize("make", MIXTURES)
def test_routers_are_left_alone_and_it_is_said_what_else_is(tmp_path: Path, make: Make) -> None:
    model = attach_lora(loaded(tmp_path, make), Lora(r=2))

    assert not [name for name in adapted(model) if "router" in name or "gate." in f"{name}."[-6:]]
    assert not [name for name in adapted(model) if name.endswith(("shared_expert_gate", ".gate"))]
    warning = share_warning(model, Lora(r=2))
    assert warning is not None
    assert f"{adapted_share(model):.0%}" in warning


def test_the_share_is_counted_by_hand(tmp_path: Path) -> None:
    """Mixtral: q and o 32 x 32, k and v 16 x 32; 4 experts of 3 x 64 x 32; a router of 4 x 32."""
    model = attach_lora(loaded(tmp_path, mixtral), Lora(r=2))
    attention, experts, router = 2 * 32 * 32 + 2 * 16 * 32, 4 * 3 * 64 * 32, 4 * 32

    assert adapted_share(model) == pytest.approx(attention / (attention + experts + router))


def test_dense_layers_and_shared_experts_are_adapted_beside_experts(tmp_path: Path) -> None:
    """PEFT takes the names of DeepSeek-V3's feed-forward layers for its experts."""
    model = attach_lora(loaded(tmp_path, deepseek_v3), Lora(r=2))

    names = ("gate_proj", "up_proj", "down_proj")
    assert {f"0.mlp.{one}" for one in names} <= adapted(model)
    assert {f"1.mlp.shared_experts.{one}" for one in names} <= adapted(model)
    assert not [name for name in adapted(model) if ".mlp.experts" in name]


def test_such_an_adapter_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    base = loaded(tmp_path, deepseek_v3)
    model = attach_lora(base, Lora(r=2))
    for name, weight in model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(weight, std=0.2)
    ids = torch.arange(20, 40)[None]
    with torch.no_grad():
        said = model.eval()(ids).logits
    card = {
        "base": base.content_hash,
        "base_name": "m",
        "method": "sft",
        "template": "",
        "spec": {},
    }
    save_adapter(model, tmp_path / "adapter", card=card)

    again = load_adapter(loaded(tmp_path, deepseek_v3).model, read_adapter(tmp_path / "adapter"))

    with torch.no_grad():
        assert torch.allclose(again.eval()(ids).logits, said, atol=1e-5)


def test_a_router_that_is_named_is_adapted(tmp_path: Path) -> None:
    lora = Lora(r=2, targets=("router", "q_proj"))
    model = attach_lora(loaded(tmp_path, jamba), lora)

    assert adapted(model) == {"1.feed_forward.router", "1.self_attn.q_proj"}
    assert share_warning(model, lora) is None  # it was chosen


@pytest.mark.parametrize("make", [mixtral, qwen3_moe, deepseek_v3])
@pytest.mark.parametrize("precision", ["nf4", "int8"])
def test_quantization_that_leaves_most_in_16_bit_is_refused(
    tmp_path: Path, make: Make, precision: str
) -> None:
    with pytest.raises(SpecError, match="would stay in 16 bit") as refused:
        loaded(tmp_path, make, precision)
    assert "bf16" in refused.value.advice


def test_the_estimate_calls_experts_experts() -> None:
    """Mixtral-8x7B by its published configuration: 46.7 billion weights, 45.1 of them experts."""
    config = MixtralConfig(num_hidden_layers=32, num_local_experts=8)
    shape = ModelShape.from_config(config)
    rows = {row.part: row.bytes for row in weight_rows(shape, Precision.NF4)}

    experts = 32 * 8 * 3 * 4096 * 14336
    assert rows["weights, bf16 (experts)"] == 2 * experts
    assert rows["weights, nf4"] == round((0.5 + 0.127 / 8) * 32 * 2 * (4096 + 1024) * 4096)
    outside = 2 * 32000 * 4096 + 65 * 4096 + 32 * 8 * 4096  # embeddings, head; norms; routers
    assert rows["weights, bf16 (embeddings, norms, head)"] == 2 * outside


def test_of_a_dense_model_nothing_is_said(tmp_path: Path) -> None:
    def llama() -> PretrainedConfig:
        return LlamaConfig(**SIZES)

    base = loaded(tmp_path, llama, "nf4")
    model = attach_lora(base, Lora(r=2))
    assert adapted_share(model) == 1.0
    assert share_warning(model, Lora(r=2)) is None
    parts = [row.part for row in weight_rows(ModelShape.from_config(llama()), Precision.NF4)]
    assert parts == ["weights, nf4", "weights, bf16 (embeddings, norms, head)"]
