from collections.abc import Callable
from math import exp, inf, log
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tests.training.judging import group
from tests.training.tiny import START, tiny_model, tiny_tokenizer
from tests.training.trl_runs import make_spec
from training.engine.errors import NotFinite
from training.engine.evaluation.forgetting import beginning, forgetting, passages, passages_of
from training.engine.methods.measures import read_material
from training.engine.packing import Pack, pack
from training.engine.ppo.replay import read_replayed
from training.engine.scorers import LogProbs


def saying(*values: float) -> Callable[[Pack], Tensor]:
    return lambda _packed: torch.tensor(values)


def test_perplexity_worked_by_hand() -> None:
    # Completions of one and two tokens. The base gives 1/2 to each, the adapter 1/4, 1/2, 1/8.
    base = saying(*[log(1 / 2)] * 3)
    adapter = saying(log(1 / 4), log(1 / 2), log(1 / 8))

    found = forgetting([pack([group(0, 2)])], adapter, base)

    assert (found.adapter.tokens, found.base.tokens) == (3, 3)
    assert found.base.perplexity == pytest.approx(2)
    # (2 + 1 + 3) / 3 bits a token
    assert found.adapter.perplexity == pytest.approx(4)
    assert found.adapter.nll == pytest.approx(2 * log(2))
    assert found.ratio == pytest.approx(2)
    assert found.difference.value == pytest.approx(log(2))
    assert (found.difference.count, found.difference.clusters) == (3, 2)


def test_text_is_cut_into_passages_that_predict_all_but_their_first_token() -> None:
    found = passages([1, 2, 3, 4, 5, 6, 7], length=3)

    # A seventh token alone has nothing to be predicted from.
    assert [(one.prompt, one.completions) for one in found] == [
        ((1,), ((2, 3),)),
        ((4,), ((5, 6),)),
    ]
    assert passages([1, 2, 3, 4, 5], length=3)[1].completions == ((5,),)


def with_first_token() -> PreTrainedTokenizerFast:
    """As Llama's and Gemma's: one that puts its BOS before every text."""
    tokenizer = tiny_tokenizer()
    fast: Any = tokenizer.backend_tokenizer
    fast.post_processor = TemplateProcessing(single=f"{START} $A", special_tokens=[(START, 1)])
    return tokenizer


def test_passages_begin_as_the_tokenizer_begins_a_text(tmp_path: Path) -> None:
    """What is measured on and what PTX trains on, against the tokenizer's own call."""
    text = "".join(chr(97 + n % 26) for n in range(70_000))
    file = tmp_path / "general.txt"
    file.write_text(text)
    tokenizer = with_first_token()
    spec = make_spec("dpo", "model", {"pairs": ["pairs.jsonl"], "general_text": str(file)})

    measured = read_material(spec, tokenizer).general_text
    replayed = read_replayed(spec.data, tokenizer).groups

    assert len(measured) == 64
    for number, one in enumerate([*measured, *replayed]):
        part = text[number * 511 : (number + 1) * 511]
        assert [*one.prompt, *one.completions[0]] == tokenizer(part)["input_ids"]
        assert one.prompt == (tokenizer.bos_token_id,)
    # Every token of the text once: none is left out, none said twice.
    assert sum(len(one.completions[0]) for one in (*measured, *replayed)) == len(text)


def test_of_a_tokenizer_without_a_first_token_nothing_is_put_before() -> None:
    assert beginning(tiny_tokenizer()) == ()
    assert beginning(with_first_token()) == (1,)
    found = passages_of("abcdef", tiny_tokenizer())
    assert [len(one.prompt) for one in found] == [1]
    assert len(found[0].completions[0]) == 5


def test_a_real_model_against_itself_and_another() -> None:
    one, other = (LogProbs(tiny_model("llama", seed=seed), "unpacked") for seed in (0, 1))
    text = torch.randint(5, 260, (200,), generator=torch.Generator().manual_seed(0)).tolist()
    packs = [pack([passage]) for passage in passages(text, length=64)]

    same = forgetting(packs, one, one)
    apart = forgetting(packs, other, one)

    assert same.ratio == 1
    # 200 tokens less the first of four passages
    assert same.base.tokens == 196
    ids = torch.tensor([text[:64]])
    expected = one.model(input_ids=ids, labels=ids).loss.item()
    first = forgetting(packs[:1], one, one)
    assert first.base.perplexity == pytest.approx(exp(expected), rel=1e-4)
    assert first.difference.low is None
    assert apart.base == same.base
    assert apart.adapter.nll != same.adapter.nll


def test_a_collapsed_model_has_no_perplexity_but_a_likelihood() -> None:
    found = forgetting([pack([group(0, 1)])], saying(-1000.0), saying(-1.0))

    assert (found.adapter.nll, found.adapter.perplexity, found.ratio) == (1000, None, None)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="two tokens"):
        passages([1])
    with pytest.raises(ValueError, match="two tokens"):
        passages([1, 2, 3], length=1)
    with pytest.raises(ValueError, match="no text"):
        forgetting([], saying(), saying())
    with pytest.raises(NotFinite, match="not a finite"):
        forgetting([pack([group(0, 1)])], saying(-inf), saying(-1.0))
