"""Gemma 2 caps its attention logits and its logits: both are learned from and measured.

The reference is transformers' own eager attention, loaded anew from the same folder.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.training.tiny import save_tiny, tiny_model
from training.engine.base import load_base
from training.engine.groups import Group
from training.engine.layout import check_head, choose_layout
from training.engine.packing import pack
from training.engine.scorers import LogProbs
from training.engine.spec import Base, Precision

# The weights are wide: the cap changes nothing where attention logits are small.
WIDE = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "initializer_range": 0.6}
PROMPT = tuple(range(40, 72))
ANSWERS = (tuple(range(100, 116)), tuple(range(9, 30)), (7, 7, 8))


def folder(place: Path, **settings: Any) -> Path:
    return save_tiny("gemma2", place / "gemma2", seed=11, **{**WIDE, **settings})


def eager(place: Path) -> list[float]:
    """The log-probability of each of ANSWERS as transformers' eager attention has it."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        place, attn_implementation="eager", dtype=torch.float32
    )
    model.eval()
    found = []
    for answer in ANSWERS:
        with torch.no_grad():
            logits = model(torch.tensor([PROMPT + answer])).logits[0].log_softmax(-1)
        places = range(len(PROMPT) - 1, len(PROMPT) + len(answer) - 1)
        found.append(float(sum(logits[n, t] for n, t in zip(places, answer, strict=True))))
    return found


def engines(place: Path, wanted: str) -> list[float]:
    base = load_base(Base(model=str(place), precision=Precision.FP32))
    scorer = LogProbs(base.model, choose_layout(base.model, wanted, 60)).eval()
    check_head(scorer)
    with torch.no_grad():
        said = scorer(pack([Group("g", PROMPT, ANSWERS)]))
    return [float(part.sum()) for part in said.split([len(one) for one in ANSWERS])]


@pytest.mark.parametrize("wanted", ["auto", "unpacked"])
def test_a_capped_models_log_probabilities_are_eager_attentions(
    tmp_path: Path, wanted: str
) -> None:
    place = folder(tmp_path)

    assert engines(place, wanted) == pytest.approx(eager(place), abs=1e-3)


def test_without_a_cap_the_same_weights_say_something_else(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    capped = eager(folder(tmp_path / "a"))
    free = eager(folder(tmp_path / "b", attn_logit_softcapping=None))

    assert max(abs(a - b) for a, b in zip(capped, free, strict=True)) > 0.1


def test_what_trl_trains_attends_with_the_cap_as_well(tmp_path: Path) -> None:
    """TRL calls the model as it was loaded, without the engine's layouts."""
    place = folder(tmp_path)
    base = load_base(Base(model=str(place), precision=Precision.FP32))
    ids = torch.tensor([PROMPT + ANSWERS[0]])
    with torch.no_grad():
        said = base.model(ids).logits[0].log_softmax(-1)
    span = range(len(PROMPT) - 1, len(PROMPT) + len(ANSWERS[0]) - 1)
    total = sum(float(said[n, t]) for n, t in zip(span, ANSWERS[0], strict=True))

    assert total == pytest.approx(eager(place)[0], abs=1e-3)


@pytest.mark.parametrize("wanted", ["auto", "unpacked"])
def test_a_usual_attention_that_leaves_something_out_is_found_by_numbers(wanted: str) -> None:
    """Whatever its configuration calls it: sdpa is not what eager says, so eager is taken."""
    model = tiny_model("gemma2", seed=5, **WIDE)
    model.set_attn_implementation("sdpa")

    choose_layout(model, wanted, 60)

    assert model.config._attn_implementation == "eager"


def test_a_cap_of_the_logits_under_another_name_is_known() -> None:
    """RecurrentGemma's; it would not show on small logits, so nothing else would tell."""
    model = tiny_model("llama")
    model.config.logits_soft_cap = 2.0
    states = torch.randn(3, 32, generator=torch.Generator().manual_seed(8))
    plain = model.get_output_embeddings()(states)

    said = LogProbs(model, "unpacked").logits(states)

    assert torch.allclose(said, 2.0 * torch.tanh(plain / 2.0), atol=1e-6)
