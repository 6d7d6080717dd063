"""A run reads what its rounds wrote, unless somebody asks for less."""

from typing import Any

import pytest

from training.engine.presets import PRESETS
from training.runs import options
from training.runs.assembly import Choice, assemble
from training.runs.limits import SPARE, limits_of

COUNTS = {"longest": {"prompt": 700, "answer": 256}}


def data_of(counts: dict[str, Any], **values: Any) -> dict[str, Any]:
    limits = limits_of(counts, "dpo", "135m-cpu")
    data = {"rankings": ["train/rankings.jsonl"]}
    spec = assemble(Choice("dpo", "135m-cpu", {"data": values}, data, base="tiny", limits=limits))
    found: dict[str, Any] = spec["data"]
    return found


def test_what_the_rounds_wrote_comes_before_the_preset_and_what_is_asked_before_both() -> None:
    derived = data_of(COUNTS)
    assert (derived["max_prompt_tokens"], derived["max_completion_tokens"]) == (716, 272)
    asked = data_of(COUNTS, max_completion_tokens=128, max_prompt_tokens=None)
    assert (asked["max_prompt_tokens"], asked["max_completion_tokens"]) == (716, 128)


@pytest.mark.parametrize("counts", [{}, {"longest": {"prompt": 0, "answer": 0}}])
def test_a_snapshot_that_does_not_tell_has_the_presets_limits(counts: dict[str, Any]) -> None:
    assert data_of(counts)["max_completion_tokens"] == PRESETS["135m-cpu"].max_tokens


def test_answers_that_people_wrote_are_not_held_to_the_sampling() -> None:
    assert limits_of(COUNTS, "sft", "135m-cpu")["max_completion_tokens"] == 512
    assert limits_of(COUNTS, "sft", "")["max_completion_tokens"] == 512
    long = {"longest": {"prompt": 9, "answer": 4096}}
    assert limits_of(long, "sft", "135m-cpu")["max_completion_tokens"] == 4096 + SPARE


def test_the_form_shows_them_at_once() -> None:
    preset = next(one for one in options.presets(None, COUNTS) if one["name"] == "8b-gpu24")
    assert preset["values"]["reward"]["data.max_completion_tokens"] == 272
    assert preset["values"]["sft"]["data.max_completion_tokens"] == 1024
