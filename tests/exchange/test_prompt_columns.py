"""What an import does with columns that it does not read, and with those that say too much."""

import json
from typing import Any

import pytest

from annotate.exchange.prompts import ParsedPrompt, Problem, read_prompts


def rows(*values: dict[str, Any]) -> list[ParsedPrompt | Problem]:
    return list(read_prompts("\n".join(json.dumps(row) for row in values), "jsonl"))


def good(row: ParsedPrompt | Problem) -> ParsedPrompt:
    assert isinstance(row, ParsedPrompt), row
    return row


def reason(row: ParsedPrompt | Problem) -> str:
    assert isinstance(row, Problem), row
    return row.reason


def test_what_is_left_out_is_named() -> None:
    named = [{"role": "user", "content": "Q", "name": "Ada"}]
    one, two = rows(
        {"prompt": "Q", "id": 1, "score": 0.5, "note": None, "lang": ""},
        {"messages": named, "documents": [{"title": "T", "text": "D", "url": "x"}]},
    )
    assert good(one).unread == ("score",)
    assert good(two).unread == ("messages.name", "documents.url")


def test_a_spreadsheet_likewise() -> None:
    text = "prompt,comment,context,\nQ,why,,x\nR,,Some text,\n"
    one, two = read_prompts(text, "csv")
    assert good(one).unread == ("comment", "column 4")
    assert reason(two).startswith('"context" changes what the models are asked')


@pytest.mark.parametrize(
    "column", ["context", "tools", "images", "chat_template_kwargs", "history", "thinking"]
)
def test_columns_that_change_what_is_asked_are_refused_by_line(column: str) -> None:
    fine, refused = rows({"prompt": "Q", column: []}, {"prompt": "Q", column: ["x"]})
    assert good(fine).unread == ()
    assert reason(refused).startswith(f'"{column}" changes what the models are asked')
    assert (reason(refused)[-1], refused.line) == (".", 2)


@pytest.mark.parametrize("key", ["reasoning_content", "thinking", "images", "weight"])
def test_keys_of_messages_that_would_be_lost_are_refused(key: str) -> None:
    turns = [
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "A", key: ["x"]},
        {"role": "user", "content": "R"},
    ]
    (row,) = rows({"messages": turns})
    assert reason(row).startswith(f'Message 2 has "{key}", which would be lost')


@pytest.mark.parametrize("column", ["system", "system_prompt"])
def test_system_columns_are_read(column: str) -> None:
    told = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Q"}]
    asked, same, other = rows(
        {"prompt": "Q", column: "Be brief."},
        {"messages": told, column: "Be brief."},
        {"messages": told, column: "Be long."},
    )
    assert good(asked).messages == good(same).messages == told
    assert reason(other) == "The row has two different system messages. Keep one of them."


def test_a_transcript_is_read_as_its_turns() -> None:
    (row,) = rows({"prompt": "\n\nHuman: One?\n\nAssistant: 1\n\nHuman: Two?\n\nAssistant:"})
    assert good(row).messages == [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "Two?"},
    ]
