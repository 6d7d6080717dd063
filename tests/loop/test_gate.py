"""Thresholds against reports: what passes, and what people read."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.loop.trained import MEASURED
from training.evaluation.gate import Gate, Verdict, check
from training.evaluation.report import Answer, Judge, make_report

# Won 3, lost 1; lengths 15 against 10.
ANSWERS = [(Answer(10, False, float(one)), Answer(10, False, 0.0)) for one in (1, 1, -1)] + [
    (Answer(30, False, 1.0), Answer(10, False, 0.0))
]
REPORT = make_report(MEASURED, ANSWERS, Judge(2, None), data_left_out=0.447)


def only(report: dict[str, Any] = REPORT, /, **bounds: float) -> Verdict:
    (verdict,) = check(report, Gate(**bounds))
    return verdict


def test_a_gate_without_thresholds_says_nothing() -> None:
    assert check(REPORT, Gate()) == []


@pytest.mark.parametrize(
    ("name", "passes", "fails", "value"),
    [
        ("min_win_rate", 0.75, 0.76, 0.75),
        ("min_win_rate_low", 0.3, 0.31, 0.300642),
        ("min_accuracy", 0.7, 0.71, 0.7),
        ("max_kl", 0.1, 0.09, 0.1),
        ("max_forgetting", 0.02, 0.01, 0.02),
        ("max_length_ratio", 1.5, 1.4, 1.5),
        ("max_left_out", 0.447, 0.4, 0.447),
    ],
)
def test_a_threshold_is_passed_when_it_is_reached(
    name: str, passes: float, fails: float, value: float
) -> None:
    good, bad = only(**{name: passes}), only(**{name: fails})
    assert (good.name, good.passed, good.bound) == (name, True, passes)
    assert (bad.name, bad.passed, bad.bound) == (name, False, fails)
    assert good.value == bad.value == pytest.approx(value, abs=1e-5)
    assert "too" not in good.text
    assert ("too low" if name.startswith("min") else "too high") in bad.text


def test_the_sentences() -> None:
    assert only(max_left_out=0.1).text == (
        "Left out of the data: 44.7%; at most 10.0% is wanted. It is too high."
    )
    assert only(make_report(None, [], None), max_left_out=0.1).text == (
        "Left out of the data: not measured, and at most 10.0% is wanted. "
        "Why: the run did not tell what it left out of its data."
    )
    assert only(min_win_rate=0.8).text == (
        "Win rate: 75.0% (95%: 30.1% to 95.4%); at least 80.0% is wanted. It is too low."
    )
    assert only(max_kl=0.5).text == (
        "KL from the reference: 0.100 nats a token (95%: 0.080 to 0.120); "
        "at most 0.500 nats a token is wanted."
    )
    assert only(max_length_ratio=2).text == (
        "Length of answers: 1.50 times the incumbent's; at most 2.00 times the incumbent's "
        "is wanted."
    )


@pytest.mark.parametrize("name", Gate.model_fields)
def test_what_was_not_measured_is_not_passed_and_says_why(name: str) -> None:
    verdict = only(make_report(None, [], None), **{name: 0.0})
    assert (verdict.passed, verdict.value, verdict.bound) == (False, None, 0)
    assert "not measured" in verdict.text
    assert "Why: " in verdict.text


def test_a_report_of_nothing_passes_nothing() -> None:
    assert not only({}, min_win_rate=0.0).passed


def test_verdicts_come_in_the_order_of_the_gate() -> None:
    every = dict.fromkeys(Gate.model_fields, 0.5)
    assert [verdict.name for verdict in check(REPORT, Gate(**every))] == list(every)


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_win_rate": 1.5},
        {"min_accuracy": -0.1},
        {"max_kl": float("nan")},
        {"max_length_ratio": "2"},
        {"min_winrate": 0.5},
    ],
)
def test_a_threshold_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Gate.model_validate(wrong)
