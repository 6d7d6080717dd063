"""The forms ask for what the server takes, and every door of the server takes as much."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from annotate.api.rounds import SourceSpec
from annotate.environment import CHECKOUT
from formats import bounds
from formats.bounds import Bound
from setup import api_types
from training.api.evaluations import EvaluationSettingsShape
from training.evaluation.settings import EvaluationSettings
from training.loop.policy import NextRound

FRONTEND = CHECKOUT / "frontend" / "src"
BOUNDS: dict[str, Bound[Any]] = {
    "temperature": bounds.TEMPERATURE,
    "top_p": bounds.TOP_P,
    "max_tokens": bounds.MAX_TOKENS,
    "prompts": bounds.EVALUATED_PROMPTS,
}


def test_the_forms_have_the_schemas_bounds() -> None:
    fresh = api_types.bounds_of(yaml.safe_load(api_types.SCHEMA.read_text()))
    assert api_types.BOUNDS.read_text() == fresh, "run `make types`"
    assert "    rationale: { maxlength: 50000 }," in fresh
    assert "    k: { min: 2, max: 9 }," in fresh
    assert "    sources: { most: 9 }," in fresh


@pytest.mark.parametrize("file", sorted(FRONTEND.rglob("*.svelte")), ids=lambda file: file.stem)
def test_no_form_has_a_length_of_its_own(file: Path) -> None:
    """A literal beside the schema's is the first to be forgotten."""
    assert 'maxlength="' not in file.read_text()


@pytest.mark.parametrize("name", BOUNDS)
def test_an_evaluation_takes_what_its_form_asks_for(name: str) -> None:
    bound = BOUNDS[name]
    field: Any = EvaluationSettingsShape().fields[name]
    assert (field.min_value, field.max_value) == (bound.least, bound.most)
    for value in (bound.least, bound.most):
        assert getattr(EvaluationSettings(**{name: value}), name) == value
    with pytest.raises(ValueError, match=name):
        EvaluationSettings(**{name: bound.most + 1})


@pytest.mark.parametrize("name", ["temperature", "top_p", "max_tokens"])
def test_a_round_takes_what_its_form_asks_for(name: str) -> None:
    bound = BOUNDS[name]
    field: Any = SourceSpec().fields[name]
    assert (field.min_value, field.max_value) == (bound.least, bound.most)
    assert getattr(NextRound(**{name: bound.most}), name) == bound.most
    with pytest.raises(ValueError, match=name):
        NextRound(**{name: bound.most + 1})


def test_pages_know_methods_and_exports() -> None:
    assert api_types.METHODS.read_text() == api_types.methods(), "run `make types`"
    assert api_types.EXPORTS.read_text() == api_types.exports(), "run `make types`"
