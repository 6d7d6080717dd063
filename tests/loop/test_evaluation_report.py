"""What a report says, and why a part of it is missing."""

import json

from tests.loop.trained import ESTIMATE, MEASURED
from training.evaluation.report import Answer, Judge, make_report

JUDGE = Judge(3, ESTIMATE)
ANSWERS = [
    (Answer(10, False, 2.0), Answer(20, False, 1.0)),
    (Answer(30, True, 0.5), Answer(20, False, 0.5)),
    (Answer(20, False, -1.0), Answer(10, True, 3.0)),
    (Answer(20, False, 1.5), Answer(30, False, 1.0)),
]


def test_identical_answers_are_a_tie_whatever_the_judge_makes_of_rounding() -> None:
    judge = Judge(2, None)
    ours, theirs = Answer(4, False, 1.25, "Yes."), Answer(4, False, 1.5, "Yes. ")
    broken_off = Answer(4, True, 1.5, "Yes.")

    same = make_report(None, [(ours, theirs)], judge)["win_rate"]
    other = make_report(None, [(ours, broken_off)], judge)["win_rate"]

    assert (same["wins"], same["ties"], same["losses"]) == (0, 1, 0)
    assert (other["wins"], other["ties"], other["losses"]) == (0, 0, 1)


def test_everything_there() -> None:
    report = make_report(
        MEASURED, ANSWERS, JUDGE, left_out=1, data_left_out=0.02, notes=["Few prompts."]
    )
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    won = report["win_rate"]
    assert (won["wins"], won["ties"], won["losses"], won["value"]) == (2, 1, 1, 0.625)
    assert report["judge"] == {"adapter": 3, "accuracy": ESTIMATE}
    assert report["length"] == {"candidate": 20, "incumbent": 20, "ratio": 1}
    assert report["rewards"] == {"candidate": 0.75, "incumbent": 1.375}
    assert report["cut_off"] == {"candidate": 0.25, "incumbent": 0.25}
    assert report["accuracy"] == ESTIMATE
    assert report["kl"]["value"] == 0.1
    assert (report["forgetting"]["value"], report["forgetting"]["on"]) == (0.02, "general_text")
    assert report["data"] == {"left_out": 0.02}
    assert report["measured"] == MEASURED
    assert (report["prompts"], report["left_out"], report["missing"]) == (4, 1, {})


def test_a_judge_that_is_not_shown_to_beat_a_coin_is_doubted() -> None:
    assert JUDGE.doubt == ""
    coin = Judge(3, {"value": 0.58, "low": 0.2, "high": 0.89})
    assert "58% (20% to 89%)" in coin.doubt
    assert Judge(3, {"value": 0.75, "low": 0.5, "high": 0.9}).doubt, "at the coin is not above it"
    assert "not measured" in Judge(3, None).doubt


def test_without_a_judge_there_is_no_win_rate_but_a_report() -> None:
    report = make_report(MEASURED, [(Answer(9, False), Answer(6, False))], None, data_left_out=0.0)
    assert (report["win_rate"], report["judge"], report["rewards"]) == (None, None, None)
    assert report["length"]["ratio"] == 1.5
    assert report["missing"].keys() == {"win_rate", "judge", "rewards"}
    assert "train one" in report["missing"]["win_rate"]


def test_without_measurements_and_answers_it_says_why() -> None:
    report = make_report(None, [], JUDGE)
    assert report["missing"]["accuracy"] == "the run has no measurements"
    assert report["missing"]["win_rate"] == "no prompt was answered by both sides"
    assert "did not tell" in report["missing"]["data"]
    partly = {"accuracy": None, "missing": {"accuracy": "no rankings are held out"}}
    assert make_report(partly, [], JUDGE)["missing"]["accuracy"] == "no rankings are held out"


def test_forgetting_is_taken_from_demonstrations_where_there_is_no_general_text() -> None:
    measured = {**MEASURED, "general_text": None, "demonstrations": MEASURED["general_text"]}
    assert make_report(measured, [], None)["forgetting"]["on"] == "demonstrations"


def test_empty_answers_have_no_ratio() -> None:
    report = make_report(None, [(Answer(5, False), Answer(0, False))], None)
    assert report["length"] == {"candidate": 5, "incumbent": 0, "ratio": None}
