"""The whole spec of a run: from preset, values and what Prefloop decides, or refused by field."""

from typing import Any

import pytest

from annotate.errors import Invalid
from training.engine.presets import PRESETS
from training.engine.spec import Method, parse_spec
from training.runs import options
from training.runs.assembly import (
    Choice,
    adapters_of,
    assemble,
    data_for,
    files_of,
    located,
)
from training.runs.launching import shards

DATA = {
    "rankings": ["train/rankings.jsonl"],
    "evaluation_rankings": ["held_out/rankings.jsonl"],
    "ties": "drop",
    "unacceptable": "drop_winners",
}
HASH, OTHER = "a" * 64, "b" * 64


def spec_of(method: str = "dpo", **choice: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "preset": "135m-cpu",
        "values": {},
        "data": DATA,
        "base": "SmolLM2-135M-Instruct",
        **choice,
    }
    return assemble(Choice(method=method, **asked))


def refused(method: str = "dpo", **choice: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        spec_of(method, **choice)
    return caught.value


def test_it_is_a_whole_spec_with_paths_inside_of_the_run_folder() -> None:
    spec = spec_of()
    assert parse_spec(spec).model_dump(mode="json") == spec
    assert spec["base"]["model"] == "SmolLM2-135M-Instruct"
    assert spec["data"]["rankings"] == ["data/train/rankings.jsonl"]
    assert spec["data"]["general_text"] == "data/general.txt"
    assert files_of(spec) == ["data/train/rankings.jsonl", "data/held_out/rankings.jsonl"]
    assert adapters_of(spec) == []
    assert (spec["data"]["ties"], spec["dpo"]["beta"]) == ("drop", 0.1)


def test_an_optimizer_that_cannot_be_sharded_is_refused_at_once() -> None:
    paged = {"optimizer": {"name": "paged_adamw_8bit"}}
    assert spec_of(values=paged)["optimizer"]["name"] == "paged_adamw_8bit"
    refusal = refused(values=paged, sharded=True)
    assert set(refusal.fields) == {"optimizer.name"}
    assert "FSDP" in refusal.message
    assert spec_of(values={"optimizer": {"name": "adamw"}}, sharded=True)


@pytest.mark.parametrize(
    ("launch", "spread"),
    [
        ("", False),
        ("accelerate launch --config_file training/engine/launch/ddp.yaml", False),
        ("accelerate launch --config_file training/engine/launch/fsdp_qlora.yaml", True),
        ("accelerate launch --config_file=training/engine/launch/fsdp_qlora.yaml --x", True),
        ("accelerate launch --use_fsdp --num_processes 4", True),
        ("accelerate launch --config_file /no/such/file", False),
    ],
)
def test_what_the_launcher_does_is_known_before_a_run(launch: str, spread: bool) -> None:
    assert shards(launch) is spread


def test_values_come_before_the_preset_and_before_the_snapshot() -> None:
    values = {"optimizer": {"lr": 1e-4}, "data": {"ties": "soft"}, "training": {"max_steps": 3}}
    spec = spec_of(values=values)
    assert (spec["optimizer"]["lr"], spec["data"]["ties"]) == (1e-4, "soft")
    assert (spec["training"]["max_steps"], spec["training"]["epochs"]) == (3, None)
    assert spec["training"]["groups_per_step"] == PRESETS["135m-cpu"].groups_per_step


def test_a_null_is_as_if_it_were_not_there() -> None:
    assert spec_of(values={"lora": {"alpha": None, "r": None}, "dpo": None}) == spec_of()


def test_parent_and_judge_are_folders_of_the_run() -> None:
    spec = spec_of("grpo", parent=HASH, parent_use="both", judge=OTHER)
    assert spec["parent"] == {"adapter": f"adapters/{HASH}", "use": "both"}
    assert spec["online"]["rewards"] == [f"adapters/{OTHER}"]
    assert adapters_of(spec) == [HASH, OTHER]


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        ({"method": "magic"}, "method"),
        ({"preset": "9000b"}, "preset"),
        ({"data": None}, "snapshot"),
        ({"judge": HASH}, "judge"),
        ({"method": "rloo"}, "judge"),
        ({"parent": HASH, "parent_use": "eat"}, "parent_use"),
        ({"values": {"optimizer": {"lr": "fast"}}}, "optimizer.lr"),
        ({"values": {"optimizer": {"lr": float("nan")}}}, "optimizer.lr"),
        ({"values": {"optimizer": {"lr": -1}}}, "optimizer.lr"),
        ({"values": {"optimiser": {"lr": 1e-4}}}, "optimiser"),
        ({"values": {"training": {"max_steps": 10**9}}}, "training.max_steps"),
        ({"values": {"training": 5}}, "training"),
        ({"values": {"data": 5}}, "data"),
        ({"values": {"lora": {"targets": ["q_proj"] * 10_000}}}, "values"),
        ({"values": {"data": [5]}}, "data"),
        ({"values": {"lora": {"r": True}}}, "lora.r"),
        ({"values": {"lora": {"targets": ["lm_head"]}}}, "lora.targets"),
        ({"values": {"training": {"epochs": 1, "max_steps": 1}}}, "training"),
        ({"preset": "", "values": {}}, "training"),
    ],
)
def test_what_cannot_be_is_refused_by_field(choice: dict[str, Any], field: str) -> None:
    refusal = refused(**choice)
    assert list(refusal.fields) == [field]
    assert refusal.message


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("base", "model", "/etc"),
        ("base", "trust_remote_code", True),
        ("data", "rankings", ["/etc/passwd"]),
        ("data", "general_text", "/etc/passwd"),
        ("dpo", "reference_cache", "/tmp/x"),  # noqa: S108
        ("online", "rewards", ["os:system"]),
        ("ppo", "rewards", ["os:system"]),
        ("ppo", "reward_base", "/etc"),
        ("ppo", "server", "http://127.0.0.1:5432"),
    ],
)
def test_files_and_code_of_the_machine_are_out_of_reach(
    section: str, name: str, value: Any
) -> None:
    assert list(refused(values={section: {name: value}}).fields) == [f"{section}.{name}"]
    assert list(refused(values={"merge": True}).fields) == ["merge"]


def test_the_machines_places_are_in_no_spec_but_the_engines() -> None:
    spec = spec_of("ppo", judge=HASH)
    assert (spec["ppo"]["server"], spec["ppo"]["rewards"]) == (None, [f"adapters/{HASH}"])
    there = located(spec, "/models/smol", "http://vllm:8000")
    assert (there["base"]["model"], there["ppo"]["server"]) == ("/models/smol", "http://vllm:8000")
    assert parse_spec(there).ppo is not None
    assert located(spec, "/models/smol")["ppo"]["server"] is None
    assert located(spec_of(), "/models/smol", "http://vllm:8000")["ppo"] is None


def test_a_method_may_be_younger_than_the_snapshot() -> None:
    manifest = {"methods": {"dpo": DATA, "sft": None}, "files": {"train/rankings.jsonl": {}}}
    assert data_for("dpo", manifest) == DATA
    assert data_for("sft", manifest) is None
    assert data_for("grpo", manifest) == {"rankings": ["train/rankings.jsonl"]}
    assert data_for("magic", manifest) is None


def test_every_method_with_every_preset() -> None:
    for method in Method:
        for preset in PRESETS:
            judge = HASH if method.learns_from_judge else ""
            data = {"demonstrations": ["train/demonstrations.jsonl"]} if method == "sft" else DATA
            spec = spec_of(method, preset=preset, data=data, judge=judge)
            assert (spec["method"], "general_text" in spec["data"]) == (method, True)
            assert bool(spec["data"]["general_text"]) == (method != "reward")


def test_the_form_offers_every_open_field_with_its_bounds() -> None:
    fields = {field["path"]: field for field in options.fields()}
    rate = fields["optimizer.lr"]
    assert (rate["type"], rate["default"], rate["minimum"], rate["maximum"]) == (
        "number",
        5e-5,
        0,
        1,
    )
    assert rate["title"] == "Learning rate"
    assert rate["methods"] == [str(method) for method in Method]
    assert fields["base.precision"]["choices"] == ["fp32", "bf16", "int8", "nf4"]
    assert fields["lora.alpha"]["type"] == "integer"
    assert (fields["lora.targets"]["type"], fields["optimizer.betas"]["type"]) == (
        "names",
        "numbers",
    )
    assert fields["data.max_prompt_tokens"]["unit"] == "tokens"
    assert fields["dpo.beta"]["methods"] == ["dpo"]
    assert {field["type"] for field in fields.values()} <= set(options.FIELD_KINDS)
    assert all(field["description"] for field in fields.values())
    decided = {"base.model", "data.rankings", "online.rewards", "ppo.rewards", "ppo.server"}
    assert not {*decided, "ppo.reward_base", "parent.adapter"} & fields.keys()
    assert fields["ppo.kl_coef"]["methods"] == ["ppo"]


@pytest.mark.parametrize(
    ("size", "recommended"),
    [
        (0.135, ["135m-cpu"]),
        (1.7, ["1b-gpu"]),
        (8.0, ["8b-gpu24"]),
        (400, ["70b-gpu80"]),
        (None, []),
    ],
)
def test_the_recommended_preset_is_the_smallest_that_fits(
    size: float | None, recommended: list[str]
) -> None:
    assert [one["name"] for one in options.presets(size) if one["recommended"]] == recommended


def test_what_a_preset_decides_of_each_method() -> None:
    values = {one["name"]: one["values"] for one in options.presets(None)}["135m-cpu"]
    assert values["dpo"]["training.tokens_per_pack"] == 2048
    assert "ppo.samples" not in values["dpo"]
    assert values["ppo"]["ppo.samples"] == 2
    paths = {field["path"] for field in options.fields()}
    assert {path for of in values.values() for path in of} <= paths
