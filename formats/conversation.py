"""Conversations as files have them: lists of messages, plain texts, HH-RLHF transcripts.

The one reader of them. What it cannot read it refuses with a flaw; every room says that in its own
words to its own people.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from formats.canonical import canonical
from formats.columns import MEANINGFUL_IN_MESSAGES, says_something
from formats.echo import echo

Message = dict[str, str]
Messages = list[Message]

ROLES = ("system", "user", "assistant")
# Columns of a row that hold its system message.
SYSTEM = ("system", "system_prompt")

_TURN = re.compile(r"(?:\A|\n\n)(Human|Assistant):")
_SPEAKERS = {"Human": "user", "Assistant": "assistant"}
# A message that is learned from as any other is what training does with all of them.
_FULL_WEIGHT = 1


class Flaw(StrEnum):
    """Why something is no conversation."""

    NOT_MESSAGES = "neither a text nor a list of messages"
    NOT_A_MESSAGE = "a message is no object"
    UNKNOWN_ROLE = "a role is none of system, user, assistant"
    NO_TEXT = "a message's content is no text"
    TOOLS = "a message calls tools"
    MORE_THAN_TEXT = "a message says something beside its text"
    EMPTY = "nothing is said"
    NOT_THE_USERS = "the last turn is not the user's"
    NOT_A_TRANSCRIPT = "no transcript of Human: and Assistant: turns"
    SYSTEM_NO_TEXT = "the system column is no text"
    TWO_SYSTEMS = "there are two different system messages"
    NOT_DOCUMENTS = "documents are no list"
    BAD_DOCUMENT = "a document is neither a text nor {title, text}"
    EMPTY_DOCUMENT = "a document is empty"


class Unreadable(ValueError):
    """What was given is no conversation.

    detail: what was found. number: of the message or document at fault, from 1; 0 for the whole.
    """

    def __init__(self, flaw: Flaw, detail: str = "", *, number: int = 0) -> None:
        super().__init__(f"{flaw}: {detail}" if detail else str(flaw))
        self.flaw = flaw
        self.detail = detail
        self.number = number


def messages(value: Any, *, role: str) -> Messages:
    """Messages of a column; a plain text is one message of `role`. Raises Unreadable."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if not isinstance(value, list):
        raise Unreadable(Flaw.NOT_MESSAGES, type(value).__name__)
    return [_message(item, number) for number, item in enumerate(value, start=1)]


def _message(item: Any, number: int) -> Message:
    if not isinstance(item, dict):
        raise Unreadable(Flaw.NOT_A_MESSAGE, type(item).__name__, number=number)
    role, content = item.get("role"), item.get("content")
    if role not in ROLES:
        raise Unreadable(Flaw.UNKNOWN_ROLE, echo(role), number=number)
    if len(item) > 2:
        refuse_more_than_text(item, number=number)
    if not isinstance(content, str):
        raise Unreadable(Flaw.NO_TEXT, type(content).__name__, number=number)
    return {"role": role, "content": content}


def refuse_more_than_text(item: Mapping[str, Any], *, number: int = 0) -> None:
    """Raises Unreadable for a message or completion with keys that change what it says."""
    if says_something(item.get("tool_calls")):
        raise Unreadable(Flaw.TOOLS, number=number)
    for name, value in item.items():
        if name not in MEANINGFUL_IN_MESSAGES or not says_something(value):
            continue
        if name != "weight" or value != _FULL_WEIGHT or isinstance(value, bool):
            raise Unreadable(Flaw.MORE_THAN_TEXT, name, number=number)


def asked(value: Any) -> Messages:
    """The prompt of a row: messages, a transcript up to the answer, or the user's plain text.

    Raises Unreadable.
    """
    if not isinstance(value, str) or not is_open_transcript(value):
        return messages(value, role="user")
    turns = transcript(value)
    return turns[:-1] if turns[-1] == {"role": "assistant", "content": ""} else turns


def answerable(turns: Messages) -> Messages:
    """The same turns, which say something and end with the user's. Raises Unreadable."""
    if not any(turn["content"].strip() for turn in turns):
        raise Unreadable(Flaw.EMPTY)
    if turns[-1]["role"] != "user":
        raise Unreadable(Flaw.NOT_THE_USERS, turns[-1]["role"])
    return turns


def with_system(turns: Messages, row: Mapping[str, Any]) -> Messages:
    """The turns behind the system message in the row's column `system` or `system_prompt`.

    Raises Unreadable where the row has two that differ: nobody knows which one was meant.
    """
    told = [row[name] for name in SYSTEM if says_something(row.get(name))]
    if not told:
        return turns
    for value in told:
        if not isinstance(value, str):
            raise Unreadable(Flaw.SYSTEM_NO_TEXT, type(value).__name__)
    rest = turns[1:] if turns and turns[0]["role"] == "system" else turns
    told += [turns[0]["content"]] if rest is not turns else []
    if len({canonical(text) for text in told}) > 1:
        raise Unreadable(Flaw.TWO_SYSTEMS)
    return [{"role": "system", "content": told[-1]}, *rest]


def is_transcript(text: str) -> bool:
    """Whether a plain text is written as HH-RLHF's are."""
    return text.lstrip().startswith(("Human:", "Assistant:"))


def is_open_transcript(text: str) -> bool:
    """Whether it is a transcript in which the assistant has, or is to take, a turn.

    A prompt that merely begins with "Human:" may be what a person wrote.
    """
    turns = _TURN.finditer("\n\n" + text.lstrip())
    return is_transcript(text) and any(turn.group(1) == "Assistant" for turn in turns)


def transcript(text: str) -> Messages:
    r"""Turns of "\n\nHuman: ...\n\nAssistant: ...", without the blanks around them.

    Raises Unreadable.
    """
    before, *parts = _TURN.split("\n\n" + text.lstrip())
    if before.strip() or not parts:
        raise Unreadable(Flaw.NOT_A_TRANSCRIPT)
    return [
        {"role": _SPEAKERS[speaker], "content": said.strip()}
        for speaker, said in zip(parts[::2], parts[1::2], strict=True)
    ]


def prompt_hash(
    turns: Sequence[Mapping[str, str]], documents: Sequence[Mapping[str, str]] = ()
) -> str:
    """sha256 of what a model is asked, 64 hexadecimal digits.

    Equal too for texts that differ only in the form of accents, in line ends, or in blanks around
    them: such a twin of a held-out prompt must not land in training. It must never change: the
    split of every stored prompt hangs on it.
    """
    told = [
        [[turn["role"], canonical(turn["content"])] for turn in turns],
        [[canonical(part["title"]), canonical(part["text"])] for part in documents],
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
