"""The forms ask for what the server takes: one table of bounds each, held together here."""

import re
from pathlib import Path
from typing import Any

import pytest

from annotate.api.rounds import SourceSpec
from formats import sampling
from formats.sampling import Bound
from training.api.evaluations import EvaluationSettingsShape
from training.evaluation.settings import EvaluationSettings
from training.loop.policy import NextRound

TABLE = Path(__file__).parents[2] / "frontend" / "src" / "lib" / "bounds.ts"
BOUNDS = {
    "temperature": sampling.TEMPERATURE,
    "top_p": sampling.TOP_P,
    "max_tokens": sampling.MAX_TOKENS,
    "prompts": sampling.EVALUATED_PROMPTS,
}


def test_the_forms_have_the_servers_bounds() -> None:
    row = re.compile(r"^  (\w+): \{ min: ([\d._]+), max: ([\d._]+), step", re.MULTILINE)
    found = {name: Bound(float(a), float(b)) for name, a, b in row.findall(TABLE.read_text())}
    assert found == BOUNDS


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
