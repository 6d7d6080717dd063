"""What a run left out of its data is a number with its share, from what the engine reports."""

from typing import Any

import pytest

from training.runs.left_out import in_words, parts_of, share_of

REPORT: dict[str, Any] = {
    "rows": 50,
    "dropped": [
        {"reason": "completion is too long", "count": 59, "unit": "completions", "of": 132},
        {"reason": "row is no ranking", "count": 5, "unit": "rows", "of": 50},
        {"reason": "group has no ranking left", "count": 3, "unit": "groups", "of": 33},
    ],
    "prompts_shortened": {"count": 2, "of": 33, "turns": 4},
    "unread_columns": [
        {"column": "tools", "count": 1, "of": 50, "expected": False},
        {"column": "labeler", "count": 50, "of": 50, "expected": True},
    ],
}


def test_the_share_is_that_of_the_answers_that_the_run_does_not_hold() -> None:
    """A tenth of the rows is refused, of what is left 59 of 132 are too long: worked by hand."""
    assert share_of(REPORT) == pytest.approx(1 - 0.9 * (1 - 59 / 132))
    assert share_of({"rows": 4, "dropped": []}) == 0
    assert share_of(None) is None


def test_every_count_is_shown_by_its_name() -> None:
    assert [in_words(one) for one in parts_of(REPORT)] == [
        "59 of 132 completions (44.7%): completion is too long",
        "5 of 50 rows (10.0%): row is no ranking",
        "3 of 33 groups (9.1%): group has no ranking left",
        "2 of 33 prompts (6.1%): prompt lost its oldest turns, for max_prompt_tokens",
        "1 of 50 rows (2.0%): column that is not read: tools",
    ]
    assert parts_of(None) == []


def test_reports_of_earlier_runs_are_read_too() -> None:
    dropped = [
        {"reason": "no", "count": 5},
        {"reason": "completion (not its row) is too long", "count": 59},
    ]
    earlier = {"rows": 10, "cut_prompts": 1, "dropped": dropped}
    assert [in_words(one) for one in parts_of(earlier)] == [
        "5 of 10 rows (50.0%): no",
        "59 completions: completion (not its row) is too long",
        "1 prompts: prompt lost its oldest turns, for max_prompt_tokens",
    ]
    assert share_of(earlier) == 0.5
