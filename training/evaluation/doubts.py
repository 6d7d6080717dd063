"""What speaks against relying on an evaluation, for whoever decides on it."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.loop.words import counted

COIN = 0.5


def doubts(report: Mapping[str, Any], run_warnings: Sequence[str] = ()) -> list[str]:
    """Every warning of an evaluation, the win rate's own first; none: nothing speaks against it.

    report: of `make_report`. run_warnings: of the run that made the candidate.
    """
    return [
        *_of_win_rate(report),
        *_of_left_out(report.get("left_out", 0)),
        *report.get("notes", ()),
        *(f"From its training: {text}" for text in run_warnings),
    ]


def _of_win_rate(report: Mapping[str, Any]) -> list[str]:
    rate = report.get("win_rate")
    if rate is None:
        why = report.get("missing", {}).get("win_rate", "the answers were not judged")
        return [f"There is no win rate: {why}."]
    low, high = rate.get("low"), rate.get("high")
    if low is None or high is None or not low <= COIN <= high:
        return []
    return [
        f"The win rate's interval ({low:.0%} to {high:.0%}) holds 50%: it is not shown that the "
        "candidate is better, nor that it is worse."
    ]


def _of_left_out(prompts: int) -> list[str]:
    if not prompts:
        return []
    return [f"{counted(prompts, 'prompt')} could not be answered by both sides and did not count."]
