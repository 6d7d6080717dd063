"""Merging: the full model answers as base and adapter together."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from tests.training.tiny import PAD, save_tiny, tiny_tokenizer
from training.engine import merge as merging
from training.engine.adapters import attach_lora, load_adapter, read_adapter, save_adapter
from training.engine.base import load_base
from training.engine.errors import SpecError
from training.engine.merge import merge
from training.engine.reward_head import FILE, RewardHead, load_head
from training.engine.spec import Base, Lora, Precision

IDS = torch.arange(10, 50)[None]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def adapter_of(
    folder: Path, precision: str = "fp32", head: RewardHead | None = None
) -> tuple[Path, Any]:
    """A random adapter of the model in `folder`, saved; and the model with it in float32."""
    base = load_base(Base(model=str(folder), precision=Precision(precision)), kind="auto")
    model = attach_lora(base, Lora(r=4))
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
    card: dict[str, Any] = {
        "base": base.content_hash,
        "base_name": base.name,
        "method": "reward" if head else "dpo",
        "template": "",
        "spec": {},
    }
    place = folder.parent / "adapter"
    save_adapter(model, place, card=card, head=head)
    full = load_base(Base(model=str(folder), precision=Precision.FP32), kind="auto")
    return place, load_adapter(full.model, read_adapter(place)).get_base_model()


def correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(
        torch.corrcoef(torch.stack([one.flatten().float(), other.flatten().float()]))[0, 1]
    )


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral", "phi", "qwen2", "gemma2"])
def test_a_merged_model_answers_as_base_and_adapter(kind: str, tmp_path: Path) -> None:
    rate = {"gpt2": "attn_pdrop"}.get(kind, "attention_dropout")
    options: dict[str, Any] = {rate: 0.25}
    folder = save_tiny(kind, tmp_path / kind, **options)
    adapter, expected = adapter_of(folder)

    merge(adapter, Base(model=str(folder)), tmp_path / "merged")

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert model.dtype == torch.bfloat16
    assert getattr(model.config, rate) == 0.25  # the config is the base's, not the training's
    with torch.no_grad():
        assert correlation(model(IDS).logits, expected(IDS).logits) > 0.999
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert tokenizer.chat_template == tiny_tokenizer().chat_template
    assert not list(tmp_path.glob(".*"))


def test_an_adapter_of_a_quantized_base_goes_into_the_full_one(tmp_path: Path) -> None:
    folder = save_tiny("llama", tmp_path / "llama")
    adapter, expected = adapter_of(folder, "nf4")

    merge(adapter, Base(model=str(folder), precision=Precision.NF4), tmp_path / "merged")

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    with torch.no_grad():
        assert correlation(model(IDS).logits, expected(IDS).logits) > 0.999


@pytest.mark.parametrize("pad", [PAD, "<|im_end|>"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "phi"])
def test_a_merged_reward_model_is_a_classifier(kind: str, pad: str, tmp_path: Path) -> None:
    folder = save_tiny(kind, tmp_path / kind)
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token, tokenizer.unk_token = pad, PAD
    tokenizer.save_pretrained(folder)
    head = RewardHead(32)
    adapter, expected = adapter_of(folder, head=head)

    merge(adapter, Base(model=str(folder)), tmp_path / "merged")

    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged")
    merged = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert model.config.num_labels == 1
    texts = ["a short one<|im_end|>", "one that is a good deal longer<|im_end|>"]
    batch = merged(texts, return_tensors="pt", padding=True, padding_side="right")
    with torch.no_grad():
        found = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        for row, text in enumerate(texts):
            ids = merged(text, return_tensors="pt")["input_ids"]
            states = expected.base_model(ids).last_hidden_state
            assert found[row].item() == pytest.approx(head(states[0, -1]).item(), abs=0.03)


def test_a_merged_encoder_keeps_its_head_apart(tmp_path: Path) -> None:
    folder = save_tiny("bert", tmp_path / "bert")
    head = RewardHead(32)
    adapter, expected = adapter_of(folder, head=head)

    merge(adapter, Base(model=str(folder)), tmp_path / "merged")

    model = AutoModel.from_pretrained(tmp_path / "merged")
    again = load_head(tmp_path / "merged")
    with torch.no_grad():
        rewards = [
            one(model(IDS).last_hidden_state) for one, model in ((head, expected), (again, model))
        ]
    assert correlation(*rewards) > 0.999
    assert (tmp_path / "merged" / FILE).is_file()


def test_it_refuses_another_base(tmp_path: Path) -> None:
    adapter, _ = adapter_of(save_tiny("llama", tmp_path / "llama"))
    other = save_tiny("llama", tmp_path / "other", seed=1)

    with pytest.raises(SpecError, match=r"trained on another base \(llama\) than other"):
        merge(adapter, Base(model=str(other)), tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


class TestTheCommand:
    def test_it_merges(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = save_tiny("llama", tmp_path / "llama")
        adapter, _ = adapter_of(folder)

        assert merging.main([str(adapter), str(folder), str(tmp_path / "merged")]) == 0
        assert capsys.readouterr().out.endswith("merged: merged\n")

        assert merging.main([str(adapter), str(folder), str(tmp_path / "merged")]) == 2
        assert "is there already. Give another folder." in capsys.readouterr().err

    def test_it_says_what_is_wrong(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert merging.main([str(tmp_path / "none"), "base", str(tmp_path / "merged")]) == 2
        assert "merging failed: There is no adapter folder" in capsys.readouterr().err

        assert merging.main([]) == 2
        assert capsys.readouterr().err == f"{merging.USAGE}\n"
