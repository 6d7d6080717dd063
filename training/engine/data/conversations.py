"""Conversations as files have them: lists of messages, plain texts, HH-RLHF transcripts."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from formats.canonical import canonical
from training.engine.data.report import Refused

Message = dict[str, str]
Messages = list[Message]

ROLES = ("system", "user", "assistant")
NOT_MESSAGES = "a conversation is not a text or a list of {role, content}"
UNKNOWN_ROLE = "a message's role is not system, user or assistant"
NO_CONTENT = "a message's content is not a text"
TOOLS = "a message calls tools"
EMPTY_PROMPT = "the prompt is empty"
NOT_THE_USERS = "the prompt does not end with the user's turn"
NOT_A_TRANSCRIPT = "the text is not a transcript of Human: and Assistant: turns"
BAD_DOCUMENTS = "documents_json is not a JSON list of {title, text}"

_TURN = re.compile(r"(?:\A|\n\n)(Human|Assistant):")
_SPEAKERS = {"Human": "user", "Assistant": "assistant"}


def messages(value: Any, *, role: str) -> Messages:
    """Messages of a column. A plain text is one message of `role`. Raises Refused."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if not isinstance(value, list):
        raise Refused(NOT_MESSAGES, type(value).__name__)
    return [_message(item) for item in value]


def _message(item: Any) -> Message:
    if not isinstance(item, dict):
        raise Refused(NOT_MESSAGES, f"one is a {type(item).__name__}")
    role, content = item.get("role"), item.get("content")
    if role not in ROLES:
        raise Refused(UNKNOWN_ROLE, str(role)[:40])
    if item.get("tool_calls"):
        raise Refused(TOOLS)
    if not isinstance(content, str):
        raise Refused(NO_CONTENT, type(content).__name__)
    return {"role": role, "content": content}


def prompt(turns: Messages) -> Messages:
    """The same turns, which can be answered. Raises Refused."""
    if not any(turn["content"].strip() for turn in turns):
        raise Refused(EMPTY_PROMPT)
    if turns[-1]["role"] != "user":
        raise Refused(NOT_THE_USERS, f"but with the {turns[-1]['role']}'s")
    return turns


def is_transcript(text: str) -> bool:
    """Whether a plain text is written as HH-RLHF's are."""
    return text.lstrip().startswith(("Human:", "Assistant:"))


def transcript(text: str) -> Messages:
    r"""Turns of "\n\nHuman: ...\n\nAssistant: ...", without the blanks around them.

    Raises Refused.
    """
    before, *parts = _TURN.split("\n\n" + text.lstrip())
    if before.strip() or not parts:
        raise Refused(NOT_A_TRANSCRIPT)
    return [
        {"role": _SPEAKERS[speaker], "content": said.strip()}
        for speaker, said in zip(parts[::2], parts[1::2], strict=True)
    ]


def with_documents(
    turns: Sequence[Mapping[str, str]], documents: Sequence[Mapping[str, str]]
) -> list[Mapping[str, str]]:
    """The conversation as models are asked: documents before the last user turn, once.

    Exported rankings have them in their prompt already, and in documents_json as well; such a
    prompt is left as it is.
    """
    if not documents:
        return list(turns)
    context = "\n\n".join(f"{each['title']}\n{each['text']}".strip() for each in documents)
    last = turns[-1]
    if last["content"].startswith(f"{context}\n\n"):
        return list(turns)
    return [*turns[:-1], {**last, "content": f"{context}\n\n{last['content']}"}]


def documents(text: Any) -> list[dict[str, str]]:
    """The documents of a row's documents_json; "" is none. Raises Refused."""
    if text == "":
        return []
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused(BAD_DOCUMENTS, str(error)) from None
    for each in found if isinstance(found, list) else [None]:
        whole = isinstance(each, dict) and all(
            isinstance(each.get(part), str) for part in ("title", "text")
        )
        if not whole:
            raise Refused(BAD_DOCUMENTS)
    return list(found)


def prompt_hash(turns: Sequence[Mapping[str, str]]) -> bytes:
    """sha256 of what a model is asked.

    Equal too for texts that differ only in the form of accents, in line ends, or in blanks around
    them: such a twin of a held-out prompt must not land in training.
    """
    asked = [[turn["role"], canonical(turn["content"])] for turn in turns]
    return hashlib.sha256(orjson.dumps(asked)).digest()
