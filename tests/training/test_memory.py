"""The memory estimate: counted from a configuration, checked against autograd and a real step."""

import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from tests.patience import PATIENCE_S
from tests.training.tiny import save_tiny, tiny_model
from tests.training.trl_runs import make_spec
from training.engine.attention import BLOCKS
from training.engine.base.prepare import prepare
from training.engine.fused import fuse
from training.engine.groups import Group
from training.engine.memory.__main__ import main
from training.engine.memory.activations import Activations, rollout_cache
from training.engine.memory.available import of_container, of_machine
from training.engine.memory.estimate import estimate, lora_parameters, weight_rows
from training.engine.memory.peak import PeakMemory
from training.engine.memory.shape import ModelShape
from training.engine.memory.table import readable
from training.engine.packing import Pack, pack
from training.engine.process.memory import RunMemory
from training.engine.scorers import LogProbs
from training.engine.spec import Lora, Precision, RunSpec

MB = 1 << 20
SMOL = LlamaConfig(
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    vocab_size=49152,
    tie_word_embeddings=True,
)


def spec_for(**sections: Any) -> RunSpec:
    rest = {"lora": {"r": 16}} | sections
    return make_spec("dpo", "model", {"rankings": ["a"]}, **rest)


def test_the_shape_of_smollm2() -> None:
    shape = ModelShape.from_config(SMOL)
    assert shape.parameters == 134_515_008
    assert (shape.layers, shape.attention, shape.keys) == (30, 576, 192)
    assert shape.tied
    assert shape.gated
    assert shape.rest == 49152 * 576 + 61 * 576
    # 16 x 30 x (q 1152 + k 768 + v 768 + o 1152 + gate, up and down 2112 each)
    assert lora_parameters(shape, spec_for()) == 16 * 30 * (2 * 1152 + 2 * 768 + 3 * 2112)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "phi", "bert", "gemma2"])
def test_every_parameter_is_counted(kind: str) -> None:
    model = tiny_model(kind)
    counted = ModelShape.from_config(model.config).parameters
    pooler = sum(one.numel() for name, one in model.named_parameters() if "pooler" in name)
    assert counted - sum(one.numel() for one in model.parameters()) in (0, -pooler)


def test_linear_layers_are_quantized_and_the_rest_is_not() -> None:
    shape = ModelShape.from_config(SMOL)
    linear = 134_515_008 - shape.rest
    sizes = {
        precision: [row.bytes for row in weight_rows(shape, precision)] for precision in Precision
    }
    assert sizes[Precision.FP32] == [4 * shape.parameters]
    assert sizes[Precision.BF16] == [2 * shape.parameters]
    assert sizes[Precision.INT8] == [linear, 2 * shape.rest]
    # 4 bits and 0.127 of constants (QLoRA, section 3).
    assert sizes[Precision.NF4] == [round(linear * 4.127 / 8), 2 * shape.rest]


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.NF4])
def test_what_computes_in_float32_takes_twice_the_rest_and_the_cache(precision: Precision) -> None:
    shape = ModelShape.from_config(SMOL)
    quantized, rest = weight_rows(shape, precision, wide=True)
    assert quantized.bytes == weight_rows(shape, precision)[0].bytes
    assert (rest.bytes, "fp32" in rest.part) == (4 * shape.rest, True)
    # 30 layers, 3 heads of 64, keys and values, 4 bytes each.
    assert rollout_cache(shape, precision, sequences=8, tokens=100, wide=True) == 36_864_000


def packed_groups(tokens: int, vocabulary: int) -> Pack:
    """A group of 4 completions, a fifth of the tokens each, and the prompt as many."""
    draw = torch.Generator().manual_seed(0)

    def some(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(vocabulary, (count,), generator=draw).tolist())

    part = tokens // 5
    return pack([Group("a", some(part), tuple(some(part) for _ in range(4)))])


def scorer_of(model: Any, rank: int) -> LogProbs:
    from peft import LoraConfig, get_peft_model

    prepare(model, gradient_checkpointing=False)
    model.set_attn_implementation(BLOCKS)
    config = LoraConfig(r=rank, target_modules="all-linear", task_type="CAUSAL_LM")
    peft = get_peft_model(model, config)
    fuse(peft)
    return LogProbs(peft, "packed").train()


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
def test_what_a_forward_keeps_is_what_autograd_keeps(precision: Precision) -> None:
    """Layer by layer: of two depths the difference, so that nothing outside the layers counts."""
    tokens, rank = 100, 4
    dtype = torch.float32 if precision is Precision.FP32 else torch.bfloat16
    kept = {}
    for layers in (2, 3):
        model = tiny_model("llama", num_hidden_layers=layers).to(dtype)
        kept[layers] = _kept(scorer_of(model, rank), packed_groups(tokens, 200))
    shape = ModelShape.from_config(tiny_model("llama").config)
    live = Activations(shape, Lora(r=rank), precision, tokens, 80)
    # The reciprocal root of two norms, a number a token, is not worth a row.
    assert kept[3] - kept[2] - live.layer() == 2 * 4 * tokens


def _kept(scorer: LogProbs, packed: Pack) -> int:
    """Bytes of the storages that autograd holds, weights aside."""
    weights = {one.untyped_storage().data_ptr() for one in scorer.parameters()}
    held: dict[int, torch.UntypedStorage] = {}

    def hold(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        scorer(packed)
    return sum(one.nbytes() for place, one in held.items() if place not in weights)


def test_an_estimate_is_within_15_percent_of_a_real_step() -> None:
    # In a process of its own: here, what earlier tests leave is freed at any moment.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        estimated, measured = processes.submit(two_steps).result(timeout=PATIENCE_S)
    assert measured == pytest.approx(estimated, rel=0.15)


def two_steps() -> tuple[int, int]:
    """Bytes of two real steps, estimated and measured."""
    sizes = {
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "vocab_size": 12_000,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    packed = packed_groups(1000, 12_000)
    with PeakMemory() as memory:
        model = tiny_model("llama", **sizes)
        scorer = scorer_of(model, 16)
        optimizer = torch.optim.AdamW(one for one in scorer.parameters() if one.requires_grad)
        for _ in range(2):
            scorer(packed).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        measured = memory.peak(model)
    needed = estimate(ModelShape.from_config(model.config), spec_for(), tokens=1000, scored=800)
    return needed.training, measured.allocated


def test_only_the_largest_moment_counts() -> None:
    shape = ModelShape.from_config(SMOL)
    needed = estimate(shape, spec_for(), tokens=4000)
    rows = {row.part: row for row in needed.rows}
    moments = [row.bytes for row in needed.rows if row.when == "moment"]
    lasting = sum(row.bytes for row in needed.rows if row.when != "moment")
    assert needed.training == lasting + max(moments)
    assert rows["gradients, fp32"].bytes * 2 == rows["optimizer, adamw"].bytes
    # 1024 rows of 49,152 logits in float32: itself and its exponentials.
    assert rows["logits, a chunk"].bytes == 2 * 1024 * 49152 * 4
    assert needed.inference == round(needed.weights * 1.2)


def test_checkpointing_and_quantizing_take_less() -> None:
    shape = ModelShape.from_config(SMOL)
    peaks = [
        estimate(shape, spec_for(base={"precision": precision, "gradient_checkpointing": again}))
        for precision in ("fp32", "bf16", "nf4")
        for again in (False, True)
    ]
    sizes = [one.training for one in peaks]
    assert all(again < plain for plain, again in zip(sizes[::2], sizes[1::2], strict=True))
    assert sizes[0] > sizes[2] > sizes[4]


def test_8_bit_optimizers_hold_a_quarter() -> None:
    shape = ModelShape.from_config(SMOL)
    count = lora_parameters(shape, spec_for())
    sizes = {
        name: estimate(shape, spec_for(optimizer={"name": name})).rows[3].bytes / count
        for name in ("adamw", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit")
    }
    assert sizes == {
        "adamw": 8,
        "adamw_8bit": 2,
        "paged_adamw_8bit": 2,
        "paged_adamw_32bit": 8,
    }


def test_rollouts_hold_keys_and_values() -> None:
    shape = ModelShape.from_config(SMOL)
    # 2 x 30 layers x 192 features x 2 bytes x 8 sequences x 100 tokens
    assert rollout_cache(shape, Precision.BF16, sequences=8, tokens=100) == 18_432_000
    spec = make_spec(
        "grpo",
        "model",
        {"rankings": ["a"]},
        online={"rewards": ["a:b"]},
    )
    assert "KV cache of rollouts" in [row.part for row in estimate(shape, spec).rows]


def test_a_reward_model_has_no_logits() -> None:
    spec = make_spec("reward", "model", {"rankings": ["a"]})
    parts = [row.part for row in estimate(ModelShape.from_config(SMOL), spec).rows]
    assert "logits, a chunk" not in parts


def test_the_table_has_the_measured_peak_beside_the_estimate() -> None:
    needed = estimate(ModelShape.from_config(SMOL), spec_for(), tokens=1000)
    lines = needed.to_text(measured=needed.training // 2).splitlines()
    assert lines[2].split() == ["weights,", "fp32", "513.1", "MB"]
    assert lines[-1].endswith("50% of the estimate")
    content = json.loads(json.dumps(needed.to_json()))
    assert content["training"] == needed.training


def test_sizes_are_readable() -> None:
    assert [readable(size) for size in (0, 1023, 1536, 3 << 30, 5 << 50)] == [
        "0 B",
        "1023 B",
        "1.5 KB",
        "3.0 GB",
        "5120.0 TB",
    ]


def test_a_peak_is_remembered_after_it_is_over() -> None:
    with PeakMemory() as memory:
        block = torch.ones(50 * MB)  # 200 MB
        size = block.nbytes
        memory.peak()
        del block
        highest = memory.peak()
    assert highest.allocated == pytest.approx(size, rel=0.05)
    assert highest.resident == pytest.approx(size, rel=0.1)


def test_the_table_of_a_spec_needs_the_configuration_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    SMOL.save_pretrained(tmp_path / "model")
    spec = spec_for().model_dump(mode="json", exclude_none=True)
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    assert main([str(tmp_path / "spec.json")]) == 0
    assert capsys.readouterr().out == estimate(ModelShape.from_config(SMOL), spec_for()).to_text()
    assert main([str(tmp_path / "spec.json"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["training"] == estimate(ModelShape.from_config(SMOL), spec_for()).training
    assert said["device"] in ("cpu", "cuda")
    assert said["available"] > 0
    shutil.rmtree(tmp_path / "model")
    assert main([str(tmp_path / "spec.json")]) == 2
    assert "base.model" in capsys.readouterr().err


def test_what_is_free_is_the_machines_or_the_containers(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:    4 kB\n")
    assert of_machine(meminfo) == 4096
    assert of_machine(tmp_path / "none") is None
    assert of_container(tmp_path) is None
    (tmp_path / "memory.current").write_text("1000\n")
    for limit, free in (("max", None), ("5000", 4000), ("900", 0)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert of_container(tmp_path) == free


def test_the_peak_of_a_run_has_weights_that_are_pages_of_their_file(tmp_path: Path) -> None:
    place = save_tiny("llama", tmp_path / "model", hidden_size=256, vocab_size=12_000)
    size = (place / "model.safetensors").stat().st_size
    with PeakMemory() as measuring:
        memory = RunMemory(measuring)
        model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)
        before = memory.peak().allocated
        memory.expect(estimate(ModelShape.from_config(model.config), spec_for()), model)
        assert memory.peak().allocated - before >= 0.9 * size
        assert memory.to_text(memory.peak()).splitlines()[-1].startswith("measured peak")
