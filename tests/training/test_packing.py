"""Packed groups: each completion sees its prompt and itself only, and scores as it does alone."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from tests.training.packs import tokens, two_groups
from tests.training.tiny import tiny_model
from training.engine.attention import BLOCKS, flex_mask
from training.engine.fused import fuse
from training.engine.groups import Group
from training.engine.packing import pack
from training.engine.scorers import LogProbs

TAKING_PACKS = ("llama", "gpt2", "mistral", "phi", "qwen2")


def with_adapter(kind: str, **overrides: Any) -> Any:
    """A tiny model with a LoRA that already does something."""
    torch.manual_seed(1)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    return get_peft_model(tiny_model(kind, **overrides), lora)


def one_by_one(model: Any, groups: list[Group]) -> Tensor:
    """Log-probabilities of all completion tokens by plain forwards with the model's own logits."""
    found = []
    for group in groups:
        for completion in group.completions:
            ids = torch.tensor([group.prompt + completion])
            logits = model(input_ids=ids).logits[0].log_softmax(dim=-1)
            begin = len(group.prompt) - 1
            rows = logits[begin : begin + len(completion)]
            found.append(rows.gather(1, torch.tensor(completion)[:, None])[:, 0])
    return torch.cat(found)


def gradients(model: Any) -> Tensor:
    trained = [one for one in model.parameters() if one.requires_grad]
    found = torch.cat([one.grad.flatten() for one in trained])
    model.zero_grad()
    return found


@pytest.mark.parametrize("kind", TAKING_PACKS)
@pytest.mark.parametrize("fused", [False, True])
def test_packed_equals_one_by_one_forward_and_backward(kind: str, fused: bool) -> None:
    groups = two_groups()
    model = with_adapter(kind)
    weights = torch.randn(42, generator=torch.Generator().manual_seed(3))
    alone = one_by_one(model, groups)
    (alone * weights).sum().backward()
    wanted = gradients(model)
    model.get_base_model().set_attn_implementation(BLOCKS)
    if fused:
        assert fuse(model) > 0
    together = LogProbs(model, "packed")(pack(groups))
    (together * weights).sum().backward()
    found = gradients(model)
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=1e-5)
    assert (found - wanted).norm() / wanted.norm() < 1e-5


@pytest.mark.parametrize("kind", [*TAKING_PACKS, "gemma2"])
def test_unpacked_equals_one_by_one(kind: str) -> None:
    groups = two_groups()
    model = tiny_model(kind)
    found = LogProbs(model, "unpacked")(pack(groups))
    torch.testing.assert_close(found, one_by_one(model, groups), atol=2e-5, rtol=1e-5)


def test_a_perturbed_completion_moves_no_other() -> None:
    model = tiny_model("llama")
    model.set_attn_implementation(BLOCKS)
    scorer = LogProbs(model, "packed")
    first, second = two_groups()
    before = pack([first, second])
    other = list(first.completions)
    other[1] = tokens(len(other[1]), 99)
    after = pack([Group("first", first.prompt, tuple(other)), second])
    with torch.no_grad():
        scores, changed = scorer(before), scorer(after)
    touched = before.owners == 1
    assert torch.equal(scores[~touched], changed[~touched])
    assert (scores[touched] - changed[touched]).abs().max() > 0.1


def test_gradient_checkpointing_changes_nothing() -> None:
    packed = pack(two_groups())
    model = with_adapter("llama")
    model.get_base_model().set_attn_implementation(BLOCKS)
    fuse(model)
    model.train()
    LogProbs(model, "packed")(packed).sum().backward()
    plain = gradients(model)
    model.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})
    LogProbs(model, "packed")(packed).sum().backward()
    torch.testing.assert_close(gradients(model), plain, atol=1e-6, rtol=1e-5)


def test_the_mask_for_gpus_allows_the_same() -> None:
    packed = pack(two_groups())
    mask = flex_mask(packed, torch.device("cpu"))
    seen = torch.stack(
        [
            torch.stack(
                [
                    mask.mask_mod(torch.tensor(0), torch.tensor(0), row, column)
                    for column in torch.arange(packed.tokens)
                ]
            )
            for row in torch.arange(packed.tokens)
        ]
    )
    wanted = torch.zeros_like(seen)
    for block in packed.blocks:
        prompt = range(block.prompt.start, block.prompt.stop)
        for row in prompt:
            wanted[row, block.prompt.start : row + 1] = True
        for span in block.completions:
            for row in range(span.start, span.stop):
                wanted[row, block.prompt.start : block.prompt.stop] = True
                wanted[row, span.start : row + 1] = True
    assert torch.equal(seen, wanted)


def test_a_model_that_packs_still_answers_as_before() -> None:
    model = tiny_model("llama")
    ids = torch.tensor([tokens(7, 1)])
    plain = model.generate(ids, max_new_tokens=8, do_sample=False)
    model.set_attn_implementation(BLOCKS)
    assert torch.equal(model.generate(ids, max_new_tokens=8, do_sample=False), plain)


@pytest.mark.parametrize(
    "group", [Group("x", (), (tokens(3, 1),)), Group("x", tokens(3, 1), (tokens(2, 1), ()))]
)
def test_nothing_predicts_an_empty_completion(group: Group) -> None:
    with pytest.raises(ValueError, match="x has an empty"):
        pack([group])


def test_positions_restart_behind_the_prompt() -> None:
    packed = pack(two_groups())
    assert packed.position_ids[0, :9].tolist() == list(range(9))
    assert packed.position_ids[0, 9:14].tolist() == [9, 10, 11, 12, 13]
    assert packed.position_ids[0, 14:16].tolist() == [9, 10]
    assert packed.lengths.tolist() == [5, 12, 1, 7, 6, 3, 8]
    assert packed.tokens == sum(group.tokens for group in two_groups())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_and_their_gradients_are_those_of_each_completion(dtype: torch.dtype) -> None:
    packed = pack(two_groups())
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(len(packed.owners), generator=draw, dtype=dtype).requires_grad_()
    slopes = torch.randn(packed.completions, generator=draw, dtype=dtype)
    sums = packed.sums(values)
    (sums * slopes).sum().backward()
    alone = torch.stack([values[packed.owners == n].sum() for n in range(packed.completions)])
    torch.testing.assert_close(sums, alone)
    assert values.grad is not None
    assert torch.equal(values.grad, slopes[packed.owners])
    assert packed.lengths.tolist() == packed.owners.bincount().tolist()
