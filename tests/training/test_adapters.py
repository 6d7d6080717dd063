"""Adapters: attached, continued, frozen as reference, saved whole, read back the same."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.tiny import save_tiny, tiny_model
from training.engine import whole
from training.engine.adapters import (
    attach_lora,
    load_adapter,
    read_adapter,
    reference_active,
    save_adapter,
    serving_warning,
)
from training.engine.base import LoadedBase, load_base
from training.engine.errors import SpecError
from training.engine.spec import Base, Lora, Parent, Precision

IDS = torch.arange(10, 50)[None]
LORA = Lora(r=4)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., LoadedBase]:
    """A tiny model, loaded anew each time."""

    def loaded(kind: str = "llama", precision: str = "fp32") -> LoadedBase:
        folder = tmp_path / kind
        if not folder.exists():
            save_tiny(kind, folder)
        return load_base(Base(model=str(folder), precision=Precision(precision)), kind="auto")

    return loaded


def card(base: LoadedBase) -> dict[str, Any]:
    return {
        "base": base.content_hash,
        "base_name": base.name,
        "method": "dpo",
        "template": "0" * 64,
        "spec": {"method": "dpo"},
    }


def train(model: Any, seed: int = 1) -> Any:
    """As if trained: every trainable weight moves."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.2 * torch.randn(parameter.shape, generator=draw)
    return model


def outputs(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(IDS)[0]
    return found


def flags(model: Any) -> dict[str, bool]:
    return {name: one.requires_grad for name, one in model.named_parameters()}


@pytest.fixture
def parent(load: Callable[..., LoadedBase], tmp_path: Path) -> Path:
    base = load()
    save_adapter(train(attach_lora(base, LORA)), tmp_path / "parent", card=card(base))
    return tmp_path / "parent"


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral", "phi", "qwen2", "gemma2", "bert"])
def test_a_fresh_adapter_is_on_every_linear_layer_and_changes_nothing(
    kind: str, load: Callable[..., LoadedBase], recwarn: pytest.WarningsRecorder
) -> None:
    expected = outputs(load(kind).model)
    model = attach_lora(load(kind), LORA)

    assert torch.equal(outputs(model), expected)
    trainable = [name for name, flag in flags(model).items() if flag]
    assert all("lora_" in name for name in trainable)
    assert not any("head" in name or "emb" in name or "wte" in name for name in trainable)
    layers = 4 if kind == "gpt2" else 6 if kind in ("phi", "bert") else 7
    assert len(trainable) == 2 * 2 * layers
    config = model.peft_config["default"]
    assert (config.r, config.lora_alpha) == (4, 8)
    assert all("." not in name for name in config.target_modules)
    assert not [one for one in recwarn if "fan_in_fan_out" in str(one.message)]


def test_the_weights_are_float32_on_a_16_bit_base(load: Callable[..., LoadedBase]) -> None:
    for precision in ("bf16", "int8", "nf4"):
        model = attach_lora(load(precision=precision), LORA)
        found = {one.dtype for one in model.parameters() if one.requires_grad}
        assert found == {torch.float32}


def test_a_seed_draws_the_same_adapter(load: Callable[..., LoadedBase]) -> None:
    state = torch.get_rng_state()

    def first(seed: int) -> torch.Tensor:
        model = attach_lora(load(), LORA, seed=seed)
        found: torch.Tensor = next(one for one in model.parameters() if one.requires_grad)
        return found

    assert torch.equal(first(7), first(7))
    assert not torch.equal(first(7), first(8))
    assert torch.equal(torch.get_rng_state(), state)


def test_layers_can_be_chosen(load: Callable[..., LoadedBase]) -> None:
    model = attach_lora(load(), Lora(r=4, targets=("v_proj", "q_proj")))
    assert sum(flags(model).values()) == 2 * 2 * 2

    with pytest.raises(SpecError, match="no linear layer qkv") as caught:
        attach_lora(load(), Lora(r=4, targets=("q_proj", "qkv")))
    assert "down_proj" in caught.value.advice


def test_a_rank_that_vllm_cannot_serve_is_said() -> None:
    assert serving_warning(Lora(r=512)) is None
    assert "up to rank 512, not 513" in str(serving_warning(Lora(r=513)))


class TestSaving:
    @pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
    @pytest.mark.parametrize("precision", ["fp32", "nf4"])
    def test_outputs_are_the_same_after_loading(
        self, kind: str, precision: str, load: Callable[..., LoadedBase], tmp_path: Path
    ) -> None:
        base = load(kind, precision)
        model = train(attach_lora(base, Lora(r=4, use_rslora=True)))
        content = save_adapter(model, tmp_path / "adapter", card=card(base))

        stored = read_adapter(tmp_path / "adapter")
        again = load_adapter(load(kind, precision).model, stored)

        assert stored.content_hash == content
        assert torch.equal(outputs(again), outputs(model))
        assert not torch.equal(outputs(again), outputs(load(kind, precision).model))
        assert not any(flags(again).values())

    def test_outputs_are_the_same_in_another_process_by_peft_alone(
        self, load: Callable[..., LoadedBase], tmp_path: Path
    ) -> None:
        base = load()
        model = train(attach_lora(base, LORA))
        save_adapter(model, tmp_path / "adapter", card=card(base))
        script = (
            "import sys, torch\n"
            "from peft import PeftModel\n"
            "from transformers import AutoModelForCausalLM\n"
            "base = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)\n"
            "model = PeftModel.from_pretrained(base, sys.argv[2]).eval()\n"
            "with torch.no_grad():\n"
            "    torch.save(model(torch.arange(10, 50)[None]).logits, sys.argv[3])\n"
        )
        result = tmp_path / "logits.pt"
        folders = [str(base.folder), str(tmp_path / "adapter"), str(result)]
        subprocess.run([sys.executable, "-c", script, *folders], check=True, capture_output=True)

        # Another process may take other threads, which changes the order of sums.
        assert torch.allclose(torch.load(result), outputs(model), rtol=1e-6, atol=1e-6)

    def test_the_folder_is_plain_and_names_no_path(
        self, load: Callable[..., LoadedBase], tmp_path: Path
    ) -> None:
        base = load()
        save_adapter(attach_lora(base, LORA), tmp_path / "adapter", card=card(base))

        names = {path.name for path in (tmp_path / "adapter").iterdir()}
        assert names == {"adapter_config.json", "adapter_model.safetensors", "adapter.json"}
        text = (tmp_path / "adapter" / "adapter_config.json").read_text()
        assert str(tmp_path) not in text
        config = json.loads(text)
        assert config["base_model_name_or_path"] == "llama"
        assert config["modules_to_save"] is None
        assert config["peft_type"] == "LORA"
        assert config["target_modules"] == sorted(config["target_modules"])
        weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
        assert "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" in weights

    def test_the_hash_is_of_the_contents(
        self, load: Callable[..., LoadedBase], tmp_path: Path
    ) -> None:
        base = load()
        model = train(attach_lora(base, LORA))
        one = save_adapter(model, tmp_path / "one", card=card(base))
        two = save_adapter(model, tmp_path / "two", card={**card(base), "note": "another"})
        three = save_adapter(train(model), tmp_path / "one", card=card(base))

        assert one == two != three
        assert read_adapter(tmp_path / "one").content_hash == three

    def test_a_failure_leaves_the_old_adapter(
        self, load: Callable[..., LoadedBase], parent: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        base = load()
        before = read_adapter(parent).content_hash

        def full(*_: Any) -> None:
            raise OSError("no space left on device")

        monkeypatch.setattr(whole, "_reach_disk", full)
        with pytest.raises(OSError, match="no space"):
            save_adapter(attach_lora(base, LORA), parent, card=card(base))

        assert read_adapter(parent).content_hash == before
        assert not list(parent.parent.glob(".*"))

    def test_a_card_is_complete(self, load: Callable[..., LoadedBase], tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="the card lacks base, method, template, spec"):
            save_adapter(
                attach_lora(load(), LORA), tmp_path / "adapter", card={"base_name": "llama"}
            )
        assert not (tmp_path / "adapter").exists()


class TestReading:
    def test_there_is_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(SpecError, match="no adapter folder"):
            read_adapter(tmp_path / "none")

    @pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
    def test_a_file_is_cut_off(self, name: str, parent: Path) -> None:
        os.truncate(parent / name, 100)
        with pytest.raises(SpecError, match=f"{name} is cut off or was changed"):
            read_adapter(parent)

    def test_a_file_is_missing(self, parent: Path) -> None:
        (parent / "adapter_model.safetensors").unlink()
        with pytest.raises(SpecError, match="safetensors is missing"):
            read_adapter(parent)

    def test_it_is_from_elsewhere(self, parent: Path) -> None:
        (parent / "adapter.json").unlink()
        with pytest.raises(SpecError, match="Prefloop did not write it"):
            read_adapter(parent)

    @pytest.mark.parametrize("text", ["{", "[]", "{}"])
    def test_the_card_is_broken(self, text: str, parent: Path) -> None:
        (parent / "adapter.json").write_text(text)
        with pytest.raises(SpecError, match=r"adapter\.json is"):
            read_adapter(parent)

    def test_weights_and_card_were_changed_together(self, parent: Path) -> None:
        text = json.loads((parent / "adapter.json").read_text())
        text["files"]["adapter_model.safetensors"] = "0" * 64
        (parent / "adapter.json").write_text(json.dumps(text))
        with pytest.raises(SpecError, match="was changed"):
            read_adapter(parent)

    def test_a_card_points_at_no_file_elsewhere(self, parent: Path) -> None:
        text = json.loads((parent / "adapter.json").read_text())
        text["files"]["../llama/config.json"] = "0" * 64
        (parent / "adapter.json").write_text(json.dumps(text))
        with pytest.raises(SpecError, match="is missing"):
            read_adapter(parent)

    def test_it_is_for_another_model(self, load: Callable[..., LoadedBase], parent: Path) -> None:
        with pytest.raises(SpecError, match="it is for another model"):
            load_adapter(load("gpt2").model, read_adapter(parent))
        with pytest.raises(SpecError, match="its layers are not those"):
            load_adapter(tiny_model("llama", hidden_size=64), read_adapter(parent))


class TestParent:
    def test_a_policy_goes_on_from_it(self, load: Callable[..., LoadedBase], parent: Path) -> None:
        model = attach_lora(load(), LORA, Parent(adapter=str(parent), use="continue"))

        assert torch.equal(outputs(model), outputs(self.frozen(load, parent)))
        assert set(model.peft_config) == {"default"}
        assert sum(flags(model).values()) == 28

    @pytest.mark.parametrize("use", ["reference", "both"])
    def test_it_is_the_frozen_reference(
        self, use: Any, load: Callable[..., LoadedBase], parent: Path
    ) -> None:
        expected = outputs(self.frozen(load, parent))
        model = attach_lora(load(), LORA, Parent(adapter=str(parent), use=use))
        start = expected if use == "both" else outputs(load().model)
        assert torch.equal(outputs(model), start)
        trainable = [name for name, flag in flags(model).items() if flag]
        assert len(trainable) == 28
        assert all(".default." in name for name in trainable)

        train(model, seed=2)
        with reference_active(model):
            assert torch.equal(outputs(model), expected)
        assert not torch.equal(outputs(model), start)
        assert not torch.equal(outputs(model), expected)

    def test_only_the_policy_is_saved(
        self, load: Callable[..., LoadedBase], parent: Path, tmp_path: Path
    ) -> None:
        base = load()
        model = train(attach_lora(base, LORA, Parent(adapter=str(parent), use="both")))
        save_adapter(model, tmp_path / "child", card=card(base))

        again = load_adapter(load().model, read_adapter(tmp_path / "child"))
        assert torch.equal(outputs(again), outputs(model))

    def test_another_shape_cannot_go_on(
        self, load: Callable[..., LoadedBase], parent: Path
    ) -> None:
        with pytest.raises(SpecError) as caught:
            attach_lora(load(), Lora(r=8), Parent(adapter=str(parent), use="continue"))
        assert "lora.r is 4 in the parent and 8 in the spec" in str(caught.value)
        assert "lora.alpha is 8 in the parent and 16 in the spec" in str(caught.value)

        spec = Lora(r=4, targets=("q_proj",))
        with pytest.raises(SpecError, match=r"lora\.targets is .* and q_proj in the spec"):
            attach_lora(load(), spec, Parent(adapter=str(parent), use="both"))

    def test_another_shape_can_refer_to_it(
        self, load: Callable[..., LoadedBase], parent: Path
    ) -> None:
        spec = Lora(r=8, targets=("q_proj",), dropout=0.5)
        model = attach_lora(load(), spec, Parent(adapter=str(parent), use="reference"))

        with reference_active(model):
            assert torch.equal(outputs(model), outputs(self.frozen(load, parent)))

    def test_it_belongs_to_its_base(self, load: Callable[..., LoadedBase], parent: Path) -> None:
        with pytest.raises(SpecError, match=r"trained on another base \(llama\) than .* \(mistral"):
            attach_lora(load("mistral"), LORA, Parent(adapter=str(parent), use="continue"))

    def frozen(self, load: Callable[..., LoadedBase], folder: Path) -> Any:
        return load_adapter(load().model, read_adapter(folder))


class TestReferenceActive:
    @pytest.mark.parametrize("use", [None, "reference"])
    def test_everything_is_as_before(
        self, use: Any, load: Callable[..., LoadedBase], parent: Path
    ) -> None:
        chosen = None if use is None else Parent(adapter=str(parent), use=use)
        model = train(attach_lora(load(), LORA, chosen), seed=2)
        one = next(one for one in model.parameters() if one.requires_grad)
        one.requires_grad_(False)  # an unusual flag is kept too
        before, output, active = flags(model), outputs(model), model.active_adapter

        def fail() -> None:
            with reference_active(model):
                assert not torch.equal(outputs(model), output)
                raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            fail()

        assert flags(model) == before
        assert model.active_adapter == active
        assert torch.equal(outputs(model), output)

    def test_without_a_reference_it_is_the_base(self, load: Callable[..., LoadedBase]) -> None:
        model = train(attach_lora(load(), LORA))
        with reference_active(model):
            assert torch.equal(outputs(model), outputs(load().model))

    def test_gradients_go_on_afterwards(
        self, load: Callable[..., LoadedBase], parent: Path
    ) -> None:
        model = train(attach_lora(load(), LORA, Parent(adapter=str(parent), use="reference")))
        model(IDS).logits.pow(2).mean().backward()
        before = [one.grad.clone() for one in model.parameters() if one.requires_grad]
        model.zero_grad()

        with reference_active(model):
            outputs(model)
        model(IDS).logits.pow(2).mean().backward()

        after = [one.grad for one in model.parameters() if one.requires_grad]
        assert len(after) == 28
        assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
