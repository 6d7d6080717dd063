"""The adapter card: what it tells, and that no text in it becomes anything but text."""

import json
from dataclasses import replace
from typing import Any

import yaml

from tests.loop.trained import COUNTS, ESTIMATE, MEASURED, SPEC
from training.evaluation.card import Data, Evaluated, Facts, card
from training.evaluation.report import Answer, Judge, make_report

REPORT = make_report(
    MEASURED,
    [(Answer(10, False, 1.0), Answer(20, False, 0.0))] * 3,
    Judge(2, MEASURED["accuracy"]),
)
FACTS = Facts(
    project="tone",
    number=4,
    base="SmolLM2-135M-Instruct",
    method="dpo",
    content_hash="a" * 64,
    run=7,
    spec=SPEC,
    data=Data(3, "d" * 64, COUNTS),
    made={
        "versions": {"python": "3.11", "torch": "2.13.0", "bitsandbytes": None},
        "git": {"revision": "c" * 40, "changed": True},
        "seeds": {"training": 5},
        "device": {"type": "cpu"},
    },
    measured=MEASURED,
    parent="adapter 2",
    evaluations=[Evaluated(9, "the base itself", REPORT)],
)


def metadata(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_it_tells_everything() -> None:
    text = card(FACTS)
    assert metadata(text)["base_model"] == "SmolLM2-135M-Instruct"
    assert metadata(text)["tags"] == ["lora", "prefloop", "dpo"]
    for said in (
        "# Adapter 4 of the project tone",
        "run 7 on snapshot 3",
        "made from: adapter 2",
        "`" + "d" * 64 + "`",
        "2 labelers",
        "| rankings | 9 | 2 |",
        "| held-out preferences agreed with | 0.700 | 0.600 to 0.800 | 40 |",
        "| KL from the reference, nats a token | 0.100 |",
        "the spec names no demonstrations",
        "against the base itself: win rate 100.0% (95%: 43.9% to 100.0%, wilson)",
        "Judged by reward adapter 2, which agrees with 70.0% of held-out preferences",
        "10.0 tokens in the mean, 20.0 on the other side",
        "It is no model of its own.",
        "None of this measures truth, safety",
        "| `torch` | `2.13.0` |",
        "`, changed since",
        "| seed of training | 5 |",
    ):
        assert said in text, said
    assert "bitsandbytes" not in text
    fenced = text.split("```json\n")[1].split("\n```")[0]
    assert json.loads(fenced) == SPEC


def test_people_stand_beside_the_accuracy() -> None:
    """As agreement and as a majority, never as a bound; also from an evaluation.json of before."""
    near, far = {**ESTIMATE, "value": 0.8}, {**ESTIMATE, "value": 0.68}
    now = {"pairwise": far, "reason": None, "others_majority_accuracy": near, "others_reason": None}
    old = {"ceiling": far, "reason": None, "ties": "half"}
    few = {"pairwise": far, "reason": None, "others_reason": "nobody", "ties": "half"}
    told = {}
    for name, agreement in (("now", now), ("old", old), ("few", few), ("none", None)):
        measured = {**MEASURED, "agreement": agreement}
        missing = {**MEASURED["missing"], "agreement": "no rankings"}
        told[name] = card(replace(FACTS, measured={**measured, "missing": missing}))
    majority = "| the same by the majority of the other labelers |"
    other = "| the same by one other labeler |"
    assert f"{majority} 0.800 | 0.600 to 0.800 | 40 |" in told["now"]
    for name in ("now", "old", "few"):
        assert f"{other} 0.680 | 0.600 to 0.800 | 40 |" in told[name]
    assert f"{majority}  |  | nobody |" in told["few"]
    assert f"{majority}  |  | no rankings |" in told["none"]
    assert f"{other}  |  | no rankings |" in told["none"]
    assert not any("ceiling" in text for text in told.values())


def test_it_tells_what_the_run_left_out() -> None:
    long = {"reason": "completion is too long", "count": 59, "unit": "completions", "of": 132}
    text = card(replace(FACTS, data_report={"rows": 33, "dropped": [long]}))
    assert "- 59 of 132 completions (44.7%): completion is too long" in text
    assert "holds nothing of 44.7% of the answers" in text
    assert "left nothing of it out" in card(replace(FACTS, data_report={"rows": 3, "dropped": []}))
    assert "was not recorded" in card(FACTS)


def test_a_reward_model_says_what_it_is_for() -> None:
    text = card(replace(FACTS, method="reward", evaluations=[]))
    assert "it scores answers" in text
    assert "only differences between answers to one prompt were learned" in text
    assert "None yet" in text


def test_little_known_is_said() -> None:
    text = card(replace(FACTS, made={}, measured={}, parent="", data=Data(3, "d" * 64, {})))
    assert "the run left no measurements" in text
    assert "no record of versions" in text
    assert "made from: the base alone" in text


def test_no_text_becomes_markup() -> None:
    evil = "x`|\n# Own <script>alert(1)</script> [a](javascript:b) ---"
    spec = {"lora": {"targets": ["```\n# Out of the fence\n````"]}}
    text = card(
        replace(
            FACTS,
            project=evil,
            base=evil,
            method=evil,
            parent=evil,
            spec=spec,
            made={"versions": {evil: evil}},
            measured={"missing": {"accuracy": evil}},
            evaluations=[Evaluated(1, evil, {"missing": {"win_rate": evil}, "notes": [evil]})],
        )
    )
    assert metadata(text)["base_model"] == evil
    fence = text.index("`````json")
    outside = [line for line in text[:fence].splitlines() if not line.startswith(("base_", "tags"))]
    assert not [line for line in outside if line.startswith("# Own")]
    for line in outside:
        bare = "".join(part for place, part in enumerate(line.split("`")) if place % 2 == 0)
        assert "<script" not in bare.replace("\\<script", ""), line
        assert "](" not in bare.replace("\\](", ""), line
