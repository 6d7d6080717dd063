"""Loading a base model: in each precision, frozen, without noise; refused in words."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from peft import LoraConfig, get_peft_model

from inference import local
from tests.training.tiny import CAUSAL_KINDS, PAD, save_tiny, tiny_model, tiny_tokenizer
from training.engine.base import (
    LoadedBase,
    content,
    content_hash,
    load_base,
    padding_token,
    refuse_longer,
    source,
)
from training.engine.errors import OutOfMemory, SpecError
from training.engine.spec import Base, Precision

IDS = torch.arange(10, 50)[None]
# By what the kernel says of the processor; the engine asks PyTorch.
QUANTIZED_COMPUTES_IN = torch.bfloat16 if local.computes_bfloat16() else torch.float32


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)  # an unpacked model is large


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    return save_tiny("llama", tmp_path / "llama", hidden_size=64, intermediate_size=128)


def fp32(folder: Path, **fields: Any) -> Base:
    return Base(model=str(folder), precision=Precision.FP32, **fields)


def agreement(one: LoadedBase, other: LoadedBase, ids: torch.Tensor = IDS) -> float:
    """Correlation of the logits."""
    with torch.no_grad():
        pair = [base.model(ids).logits.float().flatten() for base in (one, other)]
    return float(torch.corrcoef(torch.stack(pair))[0, 1])


@pytest.mark.parametrize("kind", CAUSAL_KINDS)
def test_every_causal_model_loads_as_it_was_saved(kind: str, tmp_path: Path) -> None:
    base = load_base(fp32(save_tiny(kind, tmp_path / kind)))

    saved = tiny_model(kind)
    if kind == "gemma2":  # its cap on attention is in eager attention alone
        saved.set_attn_implementation("eager")
    with torch.no_grad():
        assert torch.equal(base.model(IDS).logits, saved(IDS).logits)
    assert (base.kind, base.dtype, base.device.type) == ("causal", torch.float32, "cpu")
    assert base.name == kind


@pytest.mark.parametrize(("precision", "least"), [("bf16", 0.999), ("int8", 0.99), ("nf4", 0.9)])
def test_fewer_bits_change_the_outputs_little(precision: str, least: float, llama: Path) -> None:
    base = load_base(Base(model=str(llama), precision=Precision(precision)))

    assert base.dtype == (torch.bfloat16 if precision == "bf16" else QUANTIZED_COMPUTES_IN)
    assert agreement(base, load_base(fp32(llama))) > least


def test_four_bit_weights_can_be_stored_for_sharding(llama: Path) -> None:
    spec = Base(model=str(llama), precision=Precision.NF4)
    usual, sharded = load_base(spec), load_base(spec, sharded=True)

    assert {one.dtype for one in sharded.model.parameters()} == {QUANTIZED_COMPUTES_IN}
    assert agreement(usual, sharded) > 0.9999


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_only_adapters_get_gradients(kind: str, precision: Precision, tmp_path: Path) -> None:
    size = {"n_embd": 64} if kind == "gpt2" else {"hidden_size": 64}
    folder = save_tiny(kind, tmp_path / kind, **size)
    base = load_base(Base(model=str(folder), precision=precision), kind="auto")
    assert not any(one.requires_grad for one in base.model.parameters())

    model: Any = get_peft_model(base.model, LoraConfig(r=2, target_modules="all-linear"))
    model.get_base_model()(IDS)[0].float().pow(2).mean().backward()

    grads = [one.grad for one in model.parameters() if one.requires_grad]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)
    assert all(one.grad is None for one in model.parameters() if not one.requires_grad)


def gradient(base: LoadedBase) -> torch.Tensor:
    """Of random adapters, in one row."""
    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    model: Any = get_peft_model(base.model, config)
    model.train()
    model.get_base_model()(IDS).logits.float().pow(2).mean().backward()
    return torch.cat([one.grad.flatten() for one in model.parameters() if one.requires_grad])


@pytest.mark.parametrize("precision", list(Precision))
def test_an_evaluation_does_not_change_the_gradients(precision: Precision, llama: Path) -> None:
    spec = Base(model=str(llama), precision=precision)
    plain, evaluated = load_base(spec), load_base(spec)

    evaluated.model.eval()
    with torch.no_grad():
        evaluated.model(IDS)

    assert torch.equal(gradient(plain), gradient(evaluated))


@pytest.mark.parametrize("precision", ["bf16", "int8", "nf4"])
def test_gradients_are_those_of_the_rounded_weights(precision: str, llama: Path) -> None:
    rounded = load_base(Base(model=str(llama), precision=Precision(precision)))
    full = load_base(fp32(llama))
    layers = dict(full.model.named_modules())
    for name, layer in rounded.model.named_modules():
        if getattr(layer, "quant_state", None) is not None:
            layers[name].weight.data = dequantize_4bit(layer.weight, layer.quant_state).float()

    assert torch.cosine_similarity(gradient(rounded), gradient(full), dim=0) > 0.99


@pytest.mark.parametrize("kind", ["gpt2", "llama", "phi", "bert"])
def test_two_forwards_in_training_agree(kind: str, tmp_path: Path) -> None:
    rates: dict[str, dict[str, float]] = {
        "gpt2": {"attn_pdrop": 0.3, "resid_pdrop": 0.3, "embd_pdrop": 0.3},
        "llama": {"attention_dropout": 0.3},
        "phi": {"attention_dropout": 0.3, "resid_pdrop": 0.3, "embd_pdrop": 0.3},
        "bert": {"attention_probs_dropout_prob": 0.3, "hidden_dropout_prob": 0.3},
    }
    settings: dict[str, Any] = {**rates[kind]}
    base = load_base(fp32(save_tiny(kind, tmp_path / kind, **settings)), kind="auto")
    base.model.train()

    with torch.no_grad():
        assert torch.equal(base.model(IDS)[0], base.model(IDS)[0])


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_checkpointing_gives_the_same_gradients(kind: str, tmp_path: Path) -> None:
    folder = save_tiny(kind, tmp_path / kind)

    def gradients(checkpointing: bool) -> list[torch.Tensor]:
        base = load_base(fp32(folder, gradient_checkpointing=checkpointing))
        assert base.model.is_gradient_checkpointing is checkpointing
        torch.manual_seed(0)
        model: Any = get_peft_model(base.model, LoraConfig(r=2, target_modules="all-linear"))
        model.get_base_model().disable_input_require_grads()
        model.train()
        model.get_base_model()(IDS).logits.pow(2).mean().backward()
        return [one.grad for one in model.parameters() if one.requires_grad]

    for plain, checkpointed in zip(gradients(False), gradients(True), strict=True):
        assert torch.allclose(plain, checkpointed, rtol=1e-5, atol=1e-8)


def test_an_encoder_is_for_reward_models_only(tmp_path: Path) -> None:
    folder = save_tiny("bert", tmp_path / "bert")

    base = load_base(fp32(folder), kind="auto")

    assert base.kind == "encoder"
    assert base.model.pooler is None
    with pytest.raises(SpecError, match="encoder"):
        load_base(fp32(folder), kind="causal")


def test_the_tokenizer_keeps_having_no_pad_token(llama: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(llama)

    assert load_base(fp32(llama)).tokenizer.pad_token is None


def test_padding_is_never_what_ends_a_turn() -> None:
    tokenizer = tiny_tokenizer()
    assert padding_token(tokenizer) == PAD

    tokenizer.pad_token = tokenizer.eos_token  # as SmolLM2 has it
    tokenizer.unk_token = PAD
    assert padding_token(tokenizer) == PAD

    tokenizer.unk_token = None
    tokenizer.chat_template = f"{PAD}[CLS][SEP]"
    assert padding_token(tokenizer) is None


class TestRefusals:
    def test_there_is_no_such_folder(self, tmp_path: Path) -> None:
        with pytest.raises(SpecError, match="there is no folder") as caught:
            load_base(fp32(tmp_path / "none"))
        assert "hub" in caught.value.advice

    def test_the_hub_does_not_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any, **__: Any) -> str:
            raise OSError("no connection\nand a long explanation")

        monkeypatch.setattr(source, "snapshot_download", fail)
        with pytest.raises(SpecError, match=r"nobody/nothing.*no connection$"):
            load_base(Base(model="nobody/nothing", precision=Precision.FP32))

    def test_the_folder_holds_no_model(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(SpecError, match=r"no config\.json"):
            load_base(fp32(tmp_path / "empty"))

    def test_the_folder_is_an_adapter(self, tmp_path: Path) -> None:
        (tmp_path / "adapter_config.json").write_text("{}")
        with pytest.raises(SpecError) as caught:
            load_base(fp32(tmp_path))
        assert "parent.adapter" in caught.value.advice

    def test_the_weights_are_missing(self, llama: Path) -> None:
        (llama / "model.safetensors").unlink()
        with pytest.raises(SpecError, match="has no weights"):
            load_base(fp32(llama))

    def test_the_weights_are_cut_off(self, llama: Path) -> None:
        weights = llama / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1000])
        with pytest.raises(SpecError, match="cannot be loaded"):
            load_base(fp32(llama))

    def test_some_weights_are_missing(self, llama: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(llama / "model.safetensors")
        del weights["model.layers.0.self_attn.q_proj.weight"]
        save_file(weights, llama / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(
            SpecError, match=r"lacks 1 weights, model\.layers\.0\.self_attn\.q_proj"
        ):
            load_base(fp32(llama))

    def test_the_config_is_of_an_unknown_kind(self, llama: Path) -> None:
        self.change(llama, model_type="unheard-of")
        with pytest.raises(SpecError, match="config of llama is not understood"):
            load_base(fp32(llama))

    def test_the_model_translates(self, llama: Path) -> None:
        self.change(llama, model_type="t5", architectures=["T5ForConditionalGeneration"])
        with pytest.raises(SpecError, match="neither a causal"):
            load_base(fp32(llama))

    def test_the_model_is_quantized_already(self, llama: Path) -> None:
        self.change(llama, quantization_config={"quant_method": "awq"})
        with pytest.raises(SpecError, match="quantized already"):
            load_base(fp32(llama))

    def test_there_is_no_tokenizer(self, llama: Path) -> None:
        (llama / "tokenizer.json").unlink()
        (llama / "tokenizer_config.json").unlink()
        with pytest.raises(SpecError, match="no tokenizer"):
            load_base(fp32(llama))

    def test_the_device_cannot_quantize(self, llama: Path) -> None:
        spec = Base(model=str(llama), precision=Precision.NF4)
        with pytest.raises(SpecError, match="nf4 is not supported on mps"):
            load_base(spec, device="mps")

    @pytest.mark.parametrize(
        "problem", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
    )
    def test_it_does_not_fit(
        self, problem: Exception, llama: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from transformers import AutoModelForCausalLM

        def fail(*_: Any, **__: Any) -> None:
            raise problem

        monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fail)
        with pytest.raises(OutOfMemory, match="fp32"):
            load_base(fp32(llama))

    def test_the_gguf_file_is_none(self, tmp_path: Path) -> None:
        file = tmp_path / "model.gguf"
        with pytest.raises(SpecError, match="there is no file"):
            load_base(fp32(file))
        file.write_bytes(b"not a model")
        with pytest.raises(SpecError, match=r"model\.gguf is no GGUF"):
            load_base(fp32(file))

    def change(self, folder: Path, **fields: Any) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | fields))


class TestContentHash:
    def test_it_is_of_the_contents_not_of_the_place(self, llama: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(llama, copy)
        assert content_hash(copy) == content_hash(llama)

        save_tiny("llama", copy, seed=1, hidden_size=64, intermediate_size=128)
        assert content_hash(copy) != content_hash(llama)

    def test_a_file_is_read_once(self, llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        read: list[Any] = []
        digest = hashlib.file_digest
        monkeypatch.setattr(content, "_FRESH_NS", 0)

        def noted(file: Any, name: str) -> Any:
            read.append(file)
            return digest(file, name)

        monkeypatch.setattr(hashlib, "file_digest", noted)

        first, again = content_hash(llama), content_hash(llama)

        assert first == again
        assert len(read) == 2  # the config and the weights
        (llama / "config.json").write_text("{ }")
        assert content_hash(llama) != first

    def test_a_file_that_just_changed_is_not_trusted(self, llama: Path, tmp_path: Path) -> None:
        content_hash(llama)
        assert not (tmp_path / "cache").exists()

    def test_it_needs_no_cache(
        self, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = content_hash(llama)
        monkeypatch.setattr(content, "_FRESH_NS", 0)
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert content_hash(llama) == expected

    def test_it_survives_a_broken_cache(
        self, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(content, "_FRESH_NS", 0)
        expected = content_hash(llama)
        notes = list((tmp_path / "cache" / "prefloop" / "hashes").iterdir())
        assert len(notes) == 2
        for note in notes:
            note.write_text("[1")
        assert content_hash(llama) == expected


def test_a_model_of_the_hub_is_its_snapshot(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def fetch(name: str, *, revision: str | None, **_: Any) -> str:
        asked.append((name, revision))
        return str(llama)

    monkeypatch.setattr(source, "snapshot_download", fetch)

    base = load_base(Base(model="owner/llama", revision="v2", precision=Precision.FP32))

    assert asked == [("owner/llama", "v2")]
    assert base.name == "owner/llama"
    assert base.content_hash == content_hash(llama)


class TestTheBundledModel:
    """The GGUF file as it comes, unpacked, in 16 and in 4 bit."""

    def test_four_bits_answer_nearly_as_sixteen(self) -> None:
        gguf = str(local.bundled_gguf())
        full = load_base(Base(model=gguf, precision=Precision.BF16))
        small = load_base(Base(model=gguf, precision=Precision.NF4))
        assert full.content_hash == small.content_hash

        text = "The capital of France is Paris. The capital of Italy is Rome. Water boils at one "
        ids = full.tokenizer(text * 2, return_tensors="pt")["input_ids"]
        assert agreement(full, small, ids) > 0.85
        with torch.no_grad():
            best = [base.model(ids).logits.argmax(-1) for base in (full, small)]
        assert (best[0] == best[1]).float().mean() > 0.7
        assert 255e6 < full.model.get_memory_footprint() < 285e6
        embeddings = 57e6 if QUANTIZED_COMPUTES_IN is torch.bfloat16 else 113e6
        assert 43e6 < small.model.get_memory_footprint() - embeddings < 73e6


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_a_text_longer_than_the_model_reads_is_refused(kind: str, tmp_path: Path) -> None:
    base = load_base(fp32(save_tiny(kind, tmp_path / kind)), kind="auto")
    limit = base.model.config.max_position_embeddings

    refuse_longer(base, limit)
    with pytest.raises(SpecError, match=f"has {limit + 1:,} tokens, and {kind} reads") as refused:
        refuse_longer(base, limit + 1)
    assert "max_prompt_tokens" in refused.value.advice
