"""Packed or not is found out by numbers, for any architecture."""

from typing import Any

import pytest
from transformers import BloomConfig, BloomForCausalLM

from tests.training.packs import two_groups
from tests.training.tiny import VOCABULARY, tiny_model
from training.engine import attention
from training.engine.errors import SpecError
from training.engine.layout import check_head, choose_layout
from training.engine.packing import Block, pack
from training.engine.scorers import LogProbs


def bloom() -> Any:
    """Its positions are biases of the attention, which blocks do not know."""
    return BloomForCausalLM(BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4))


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral", "phi", "qwen2"])
def test_models_that_take_the_mask_are_packed(kind: str) -> None:
    model = tiny_model(kind)
    assert choose_layout(model, "auto", longest=500) == "packed"
    check_head(LogProbs(model, "packed"))


@pytest.mark.parametrize("make", [bloom, lambda: tiny_model("gemma2")])
def test_models_that_do_not_are_unpacked_and_right(make: Any) -> None:
    model = make()
    assert choose_layout(model, "auto", longest=50) == "unpacked"
    scorer = LogProbs(model, "unpacked")
    check_head(scorer)
    assert scorer(pack(two_groups())).shape == (42,)


def test_a_window_shorter_than_the_data_is_an_obstacle() -> None:
    model = tiny_model("mistral", sliding_window=64)
    assert choose_layout(model, "auto", longest=65) == "unpacked"
    assert choose_layout(tiny_model("mistral", sliding_window=64), "auto", longest=64) == "packed"


def test_packed_is_refused_where_it_would_be_wrong() -> None:
    with pytest.raises(SpecError, match="cannot be trained on packed groups") as refused:
        choose_layout(bloom(), "packed", longest=10)
    assert "auto" in refused.value.advice


def test_a_leak_is_found_by_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask that shows a completion its neighbours changes its states, and the check sees it."""
    attend_block: Any = attention._attend_block

    def leaking(*arguments: Any) -> None:
        *tensors, block, scale = arguments
        attend_block(*tensors, Block(block.prompt, (block.answers,)), scale)

    monkeypatch.setattr(attention, "_attend_block", leaking)
    assert choose_layout(tiny_model("llama"), "auto", longest=50) == "unpacked"


def test_an_unknown_change_of_the_logits_is_refused() -> None:
    model = tiny_model("llama")
    forward = model.forward

    def twisted(*args: Any, **kwargs: Any) -> Any:
        found = forward(*args, **kwargs)
        found.logits = found.logits * 2
        return found

    model.forward = twisted
    with pytest.raises(SpecError, match="not those of a plain language-model head"):
        check_head(LogProbs(model, "unpacked"))
