"""The spec of a run: what it takes, what it refuses, and the words a person reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from training.engine.errors import SpecError
from training.engine.spec import (
    DPO,
    Base,
    Lora,
    Method,
    Precision,
    RunSpec,
    Training,
    parse_spec,
    read_spec,
)
from training.loop.policy import LoopSettings

LEAST: dict[str, Any] = {
    "method": "dpo",
    "base": {"model": "owner/model"},
    "data": {"rankings": ["rankings.jsonl"]},
    "training": {"epochs": 1},
}
FULL: dict[str, Any] = {
    "method": "kto",
    "base": {"model": "m.gguf", "precision": "nf4", "gradient_checkpointing": True},
    "lora": {"r": 8, "alpha": 8, "dropout": 0.05, "targets": ["q_proj", "v_proj"]},
    "parent": {"adapter": "sft", "use": "both"},
    "data": {"pairs": ["a.jsonl", "b.jsonl"], "evaluation_pairs": ["c.jsonl"], "ties": "drop"},
    "optimizer": {"name": "paged_adamw_8bit", "lr": 1e-5, "betas": [0.9, 0.95]},
    "training": {"max_steps": 100, "evaluate_every": 10},
    "kto": {"beta": 0.2},
    "merge": True,
}


def refusal(**changes: Any) -> str:
    with pytest.raises(SpecError) as refused:
        parse_spec({**LEAST, **changes})
    assert refused.value.exit_code == 2
    assert refused.value.advice
    return refused.value.message


def test_little_is_enough_and_the_rest_has_defaults() -> None:
    spec = parse_spec(LEAST)
    assert spec.method is Method.DPO
    assert spec.base.precision is Precision.BF16
    assert spec.dpo == DPO()
    assert (spec.reward, spec.kto, spec.online) == (None, None, None)
    assert (spec.lora.r, spec.lora.scale_alpha) == (16, 32)
    assert Lora(alpha=8).scale_alpha == 8


@pytest.mark.parametrize("values", [LEAST, FULL])
def test_what_is_saved_reads_back_the_same(values: dict[str, Any], tmp_path: Path) -> None:
    spec = parse_spec(values)
    place = tmp_path / "spec.json"
    place.write_text(spec.to_json())
    assert read_spec(place) == spec
    assert json.loads(spec.to_json())["training"]["seed"] == 0  # the defaults are saved, too


def test_it_cannot_be_changed() -> None:
    spec = parse_spec(LEAST)
    with pytest.raises(ValidationError, match="frozen"):
        spec.training.seed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        spec.base = Base(model="other")  # type: ignore[misc]
    assert hash(spec) == hash(parse_spec(LEAST))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "ppoo"}, 'method: "ppoo" is not allowed; allowed are "sft", "reward", "dpo",'),
        ({"base": {}}, "base.model: is missing; a model folder, a .gguf file,"),
        ({"base": {"model": ""}}, 'base.model: "" is not allowed; it must not be empty'),
        (
            {"base": {"model": "m", "precision": "fp8"}},
            'base.precision: "fp8" is not allowed; allowed are "fp32", "bf16", "int8" or "nf4"',
        ),
        ({"lora": {"r": "16"}}, 'lora.r: "16" is not allowed; it must be a whole number'),
        ({"lora": {"r": 1.5}}, "lora.r: 1.5 is not allowed; it must be a whole number"),
        ({"lora": {"r": 0}}, "lora.r: 0 is not allowed; it must be at least 1"),
        ({"lora": {"dropout": 1}}, "lora.dropout: 1 is not allowed; it must be below 1"),
        ({"merge": 1}, "merge: 1 is not allowed; it must be true or false"),
        ({"data": {"rankings": "a"}}, 'data.rankings: "a" is not allowed; it must be a list'),
        ({"data": {"rankings": [3]}}, "data.rankings[0]: 3 is not allowed; it must be a text"),
        ({"data": None}, "data: null is not allowed; it must be an object with fields"),
        ({"optimizer": {"lr": 0}}, "optimizer.lr: 0 is not allowed; it must be above 0"),
        ({"optimizer": {"lr": True}}, "optimizer.lr: true is not allowed; it must be a number"),
        (
            {"optimizer": {"lr": float("nan")}},
            "optimizer.lr: NaN is not allowed; it must be a finite number",
        ),
        ({"optimizer": {"betas": [0.9]}}, "optimizer.betas[1]: is missing"),
        ({"dpo": {"beta": 0}}, "dpo.beta: 0 is not allowed; it must be above 0"),
        ({"dpo": {"beta": 11}}, "dpo.beta: 11 is not allowed; it must be at most 10"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(changes: dict[str, Any], words: str) -> None:
    assert words in refusal(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": {"model": "m", "precison": "nf4"}}, "did you mean base.precision?"),
        ({"trainig": {}}, "trainig: there is no such field; did you mean training?"),
        ({"label_smoothing": 0.1}, "did you mean dpo.label_smoothing?"),
        ({"beta": 0.1}, "did you mean dpo.beta or kto.beta or online.beta?"),
        ({"zzz": 1}, "zzz: there is no such field; there are method, base, lora,"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest(changes: dict[str, Any], words: str) -> None:
    assert words in refusal(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": {}}, "training: of epochs and max_steps neither is given"),
        ({"training": {"epochs": 1, "max_steps": 2}}, "of epochs and max_steps both are given"),
        ({"reward": {}}, 'the section reward has no meaning for method "dpo"; leave it out'),
        ({"method": "sft", "data": {"demonstrations": ["a"]}, "dpo": {}}, "the section dpo has no"),
        ({"data": {}}, "it takes files in data.rankings or data.pairs"),
        ({"method": "sft"}, 'method "sft" has nothing to learn from; it takes files in data.demo'),
        ({"method": "grpo"}, "online.rewards: is missing"),
        ({"dpo": {"loss": "ipo", "label_smoothing": 0.1}}, "label_smoothing has no meaning for"),
        (
            {"method": "reward", "parent": {"adapter": "a", "use": "both"}},
            'method "reward" has no reference, and parent.use is "both"',
        ),
        (
            {
                "data": {"rankings": ["a"], "held_out_fraction": 0.0},
                "training": {"epochs": 1, "evaluate_every": 5},
            },
            "nothing is there to evaluate on",
        ),
    ],
)
def test_a_contradiction_is_refused(changes: dict[str, Any], words: str) -> None:
    assert words in refusal(**changes)


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens", "wte", "model.embed_out"])
def test_embeddings_and_head_are_no_targets(target: str) -> None:
    assert f'lora.targets: "{target}" is an embedding' in refusal(lora={"targets": [target]})


@pytest.mark.parametrize("targets", [[], "q_proj", [3], None])
def test_targets_are_all_or_names(targets: Any) -> None:
    assert "neither" in refusal(lora={"targets": targets})


def test_everything_wrong_is_said_at_once() -> None:
    message = refusal(method="ppoo", lora={"r": 0, "rank": 3}, merge="no")
    assert [line.split(":")[0] for line in message.splitlines()] == [
        "method",
        "lora.r",
        "lora.rank",
        "merge",
    ]


@pytest.mark.parametrize("values", [3, [], None, "dpo"])
def test_what_is_no_object_is_refused(values: Any) -> None:
    with pytest.raises(SpecError, match="it must be an object with fields"):
        parse_spec(values)


def test_a_file_that_is_no_spec_is_refused_in_words(tmp_path: Path) -> None:
    place = tmp_path / "spec.json"
    with pytest.raises(SpecError, match="There is no spec at"):
        read_spec(place)
    place.write_text('{"method": "dpo",}')
    with pytest.raises(SpecError, match="The spec is no JSON: line 1, column"):
        read_spec(place)
    place.write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="cannot be read"):
        read_spec(place)


def test_the_section_of_the_method_is_filled_in() -> None:
    for method in (Method.DPO, Method.REWARD, Method.KTO):
        spec = parse_spec({**LEAST, "method": method.value})
        assert getattr(spec, method.section or "") is not None
    assert RunSpec(**{**LEAST, "method": Method.KTO}).kto is not None
    assert Training(max_steps=3).epochs is None


def test_the_schema_explains_every_field_to_a_form() -> None:
    schema = RunSpec.model_json_schema()
    for name, field in fields(schema):
        assert field.get("description"), name
        assert "default" in field or name in required(schema), name
    definitions = schema["$defs"]
    assert definitions["Training"]["properties"]["tokens_per_pack"]["unit"] == "tokens"
    assert definitions["Optimizer"]["properties"]["lr"]["exclusiveMinimum"] == 0
    assert definitions["Precision"]["enum"] == ["fp32", "bf16", "int8", "nf4"]


def fields(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, section in (("RunSpec", schema), *schema["$defs"].items()):
        for field, values in section.get("properties", {}).items():
            yield f"{name}.{field}", values


def required(schema: dict[str, Any]) -> set[str]:
    sections = {"RunSpec": schema, **schema["$defs"]}
    return {
        f"{name}.{field}"
        for name, section in sections.items()
        for field in section.get("required", ())
    }


def numbers(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every number of a JSON schema, by where it stands."""
    if isinstance(node, dict):
        if node.get("type") in ("integer", "number"):
            yield path, node
        for name, inner in node.items():
            yield from numbers(inner, f"{path}/{name}")
    elif isinstance(node, list):
        for inner in node:
            yield from numbers(inner, path)


@pytest.mark.parametrize("settings", [RunSpec, LoopSettings])
def test_every_number_has_two_bounds(settings: type[BaseModel]) -> None:
    """1e30 is nothing that anybody means, wherever it is written."""
    found = dict(numbers(settings.model_json_schema()))
    assert len(found) > 20
    assert not [
        path
        for path, number in found.items()
        if not {"minimum", "exclusiveMinimum"} & number.keys()
        or not {"maximum", "exclusiveMaximum"} & number.keys()
    ]
