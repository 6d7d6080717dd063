from typing import Any

import pytest

from formats.conversation import (
    Flaw,
    Unreadable,
    answerable,
    asked,
    is_transcript,
    messages,
    prompt_hash,
    transcript,
    with_system,
)

Q = {"role": "user", "content": "Q"}
A = {"role": "assistant", "content": "A"}
S = {"role": "system", "content": "Answer in French."}


def flaw(call: Any) -> tuple[Flaw, str, int]:
    with pytest.raises(Unreadable) as caught:
        call()
    return caught.value.flaw, caught.value.detail, caught.value.number


def test_a_text_is_one_message_and_messages_are_read_verbatim() -> None:
    assert messages(" Q\n", role="user") == [{"role": "user", "content": " Q\n"}]
    assert messages([S, Q, A], role="user") == [S, Q, A]
    assert messages([], role="user") == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, (Flaw.NOT_MESSAGES, "int", 0)),
        (None, (Flaw.NOT_MESSAGES, "NoneType", 0)),
        ([Q, "A"], (Flaw.NOT_A_MESSAGE, "str", 2)),
        ([{"role": "tool", "content": "x"}], (Flaw.UNKNOWN_ROLE, "tool", 1)),
        ([{"role": ["user"], "content": "x"}], (Flaw.UNKNOWN_ROLE, '["user"]', 1)),
        ([Q, {"role": "assistant", "content": None}], (Flaw.NO_TEXT, "NoneType", 2)),
        ([{**A, "tool_calls": [{"id": 1}]}], (Flaw.TOOLS, "", 1)),
        ([Q, {**A, "reasoning_content": "2 + 2"}], (Flaw.MORE_THAN_TEXT, "reasoning_content", 2)),
        ([{**A, "thinking": "hm"}], (Flaw.MORE_THAN_TEXT, "thinking", 1)),
        ([{**Q, "images": [{"bytes": "…"}]}], (Flaw.MORE_THAN_TEXT, "images", 1)),
        ([{**A, "weight": 0}], (Flaw.MORE_THAN_TEXT, "weight", 1)),
        ([{**A, "weight": 0.5}], (Flaw.MORE_THAN_TEXT, "weight", 1)),
    ],
)
def test_what_is_no_conversation_is_named(value: Any, expected: tuple[Flaw, str, int]) -> None:
    assert flaw(lambda: messages(value, role="user")) == expected


def test_keys_that_say_nothing_are_harmless() -> None:
    empty: dict[str, Any] = {
        "tool_calls": None,
        "reasoning_content": "",
        "thinking": " ",
        "images": [],
    }
    assert messages([{**A, **empty, "weight": 1, "name": "Ada"}], role="user") == [A]


@pytest.mark.parametrize("head", ["", "\n\n"])
def test_a_transcript_up_to_the_answer_is_read_as_its_turns(head: str) -> None:
    one = f"{head}Human: Q\n\nAssistant:"
    two = f"{head}Human: Q\n\nAssistant: A\n\nHuman: two\n\nparagraphs\n\nAssistant: "

    assert asked(one) == [Q]
    assert asked(two) == [Q, A, {"role": "user", "content": "two\n\nparagraphs"}]


def test_a_prompt_that_merely_begins_so_is_the_users_text() -> None:
    for text in ("Human: what are you?", "Human rights", "Human: I am called Assistant: why?"):
        assert asked(text) == [{"role": "user", "content": text}]


def test_a_text_that_does_not_begin_with_a_turn_is_no_transcript() -> None:
    assert not is_transcript("Well, Human: Q")
    assert flaw(lambda: transcript("Well\n\nHuman: Q"))[0] is Flaw.NOT_A_TRANSCRIPT


def test_only_the_users_words_can_be_answered() -> None:
    assert answerable([S, Q]) == [S, Q]
    assert flaw(lambda: answerable([Q, A])) == (Flaw.NOT_THE_USERS, "assistant", 0)
    assert flaw(lambda: answerable([]))[0] is Flaw.EMPTY
    assert flaw(lambda: answerable([{"role": "user", "content": " \n"}]))[0] is Flaw.EMPTY


@pytest.mark.parametrize("column", ["system", "system_prompt"])
def test_a_system_column_is_the_first_message(column: str) -> None:
    assert with_system([Q], {column: "Answer in French."}) == [S, Q]
    assert with_system([S, Q], {column: " Answer in French.\n"}) == [S, Q]
    for nothing in (None, "", " "):
        assert with_system([Q], {column: nothing}) == [Q]
    assert flaw(lambda: with_system([S, Q], {column: "Be brief."}))[0] is Flaw.TWO_SYSTEMS
    assert flaw(lambda: with_system([Q], {column: ["a"]})) == (Flaw.SYSTEM_NO_TEXT, "list", 0)


def test_two_system_columns_have_to_agree() -> None:
    same = {"system": "Answer in French.", "system_prompt": "Answer in French."}
    assert with_system([Q], same) == [S, Q]
    other = {**same, "system_prompt": "Be brief."}
    assert flaw(lambda: with_system([Q], other))[0] is Flaw.TWO_SYSTEMS


def test_the_hash_of_a_stored_prompt_never_changes() -> None:
    # sha256 of '[[["user", "Gr\\u00fc\\u00df Gott"]], []]', taken with sha256sum.
    assert prompt_hash([{"role": "user", "content": " Grüß Gott\n"}]) == (
        "f47a523f79e875694efc9dfb48df40e5ab4494ad8f8b9361a796ceff27b352b8"
    )
