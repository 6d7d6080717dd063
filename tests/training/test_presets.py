"""Presets: complete for every method, and never above what the spec itself says."""

from typing import Any

import pytest

from training.engine.errors import SpecError
from training.engine.presets import PRESETS, with_preset
from training.engine.spec import Method, Precision, parse_spec


def least(method: Method) -> dict[str, Any]:
    """What nobody but a person can know."""
    files = "demonstrations" if method is Method.SFT else "rankings"
    values: dict[str, Any] = {
        "method": method.value,
        "base": {"model": "owner/model"},
        "data": {files: ["data.jsonl"]},
    }
    if method.section in ("online", "ppo"):
        values[method.section] = {"rewards": ["package.module:shorter"]}
    return values


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("name", PRESETS)
def test_with_model_and_data_a_preset_is_a_whole_spec(name: str, method: Method) -> None:
    spec = parse_spec(with_preset(name, least(method)))
    assert spec.method is method
    assert spec.training.epochs
    assert PRESETS[name].title
    assert PRESETS[name].why.endswith(".")
    assert spec.training.tokens_per_pack >= 2 * spec.data.max_completion_tokens


def test_what_the_spec_says_comes_first() -> None:
    values = least(Method.DPO) | {
        "lora": {"r": 64},
        "optimizer": {"lr": 1e-6},
        "training": {"max_steps": 10},
    }
    spec = parse_spec(with_preset("8b-gpu24", values))
    assert (spec.lora.r, spec.lora.targets) == (64, "all-linear")
    assert (spec.optimizer.lr, spec.optimizer.name) == (1e-6, "paged_adamw_8bit")
    assert (spec.training.max_steps, spec.training.epochs) == (10, None)
    assert values["training"] == {"max_steps": 10}  # left as it was


def test_a_processor_gets_nothing_that_needs_a_gpu() -> None:
    spec = parse_spec(with_preset("135m-cpu", least(Method.DPO)))
    assert (spec.base.precision, spec.optimizer.name) == (Precision.FP32, "adamw")


def test_large_bases_are_held_in_four_bits_and_learn_slower() -> None:
    small = parse_spec(with_preset("8b-gpu24", least(Method.SFT)))
    large = parse_spec(with_preset("70b-gpu80", least(Method.SFT)))
    assert large.base.precision is Precision.NF4
    assert large.base.gradient_checkpointing
    assert (small.optimizer.lr, large.optimizer.lr) == (2e-4, 1e-4)


def test_sizes_rise() -> None:
    sizes = [preset.weights_b for preset in PRESETS.values()]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("values", [{}, {"method": "ppoo"}, {"method": ["dpo"]}])
def test_a_preset_needs_a_method(values: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="needs one of sft, reward, dpo"):
        with_preset("8b-gpu24", values)


def test_a_preset_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(SpecError, match='no preset "7b"; there are 135m-cpu, '):
        with_preset("7b", least(Method.DPO))


def test_a_wrong_spec_is_refused_as_without_a_preset() -> None:
    with pytest.raises(SpecError, match="training: 3 is not allowed"):
        parse_spec(with_preset("8b-gpu24", least(Method.DPO) | {"training": 3}))
