"""One row of an import file as a prompt, or the reason why it cannot be one."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from formats.canonical import canonical

Split = Literal["train", "held_out"]

HELD_OUT_PERCENT = 10
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one prompt may be. line_bytes also bounds the memory that reading takes."""

    line_bytes: int = 1_000_000
    characters: int = 100_000
    messages: int = 100
    documents: int = 50
    tags: int = 50
    tag_characters: int = 80
    external_id_characters: int = 200


@dataclass(frozen=True, slots=True)
class ParsedPrompt:
    """A prompt as it will be stored: texts verbatim, `external_id` and `source` "" when not given.

    messages: [{"role", "content"}], ending with the user's. documents: [{"title", "text"}].
    line: where it starts in the file, from 1.
    """

    line: int
    messages: list[dict[str, str]]
    documents: list[dict[str, str]]
    tags: list[str]
    external_id: str
    source: str
    content_hash: str
    split: Split


class Refused(ValueError):
    """A row that is no prompt; the message says what to do."""


def parse_row(row: Mapping[str, object], *, line: int, limits: Limits) -> ParsedPrompt:
    """A prompt from {messages | prompt, system?, documents?, tags?, id | external_id?, source?}.

    Other keys are left out. Raises Refused.
    """
    messages = _messages(row, limits)
    documents = _documents(row.get("documents"), limits)
    texts = [message["content"] for message in messages]
    texts += [text for document in documents for text in document.values()]
    characters = sum(map(len, texts))
    if characters > limits.characters:
        raise Refused(
            f"The prompt has {characters:,} characters; at most {limits.characters:,} are "
            "allowed. Shorten it."
        )
    tags = _tags(row.get("tags"), limits)
    external_id = _external_id(row, limits)
    source = _label(row.get("source"), "source", limits.external_id_characters)
    _refuse_unstorable((*texts, *tags, external_id, source))
    digest = content_hash(messages, documents)
    return ParsedPrompt(
        line, messages, documents, tags, external_id, source, digest, split_of(digest)
    )


def content_hash(
    messages: Sequence[Mapping[str, str]], documents: Sequence[Mapping[str, str]]
) -> str:
    """64 hex digits over what a model is told.

    Equal too for texts that differ only in the form of accents, in line ends, or in blanks around
    them: such a twin of a held-out prompt must not land in training.
    """
    told = [
        [[message["role"], canonical(message["content"])] for message in messages],
        [[canonical(part["title"]), canonical(part["text"])] for part in documents],
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def split_of(content_hash: str) -> Split:
    """One prompt in ten is held out, for ever, by its hash."""
    return "held_out" if int(content_hash[:15], 16) % 100 < HELD_OUT_PERCENT else "train"


def _refuse_unstorable(texts: Iterable[str]) -> None:
    """PostgreSQL stores neither NUL nor half of a surrogate pair."""
    for text in texts:
        if "\x00" in text:
            raise Refused("The text contains a NUL character (U+0000). Remove it.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Refused(
                f"The text contains half a character (U+{ord(text[error.start]):04X} without its "
                "pair). Write the file again with whole characters."
            ) from None


def _messages(row: Mapping[str, object], limits: Limits) -> list[dict[str, str]]:
    given = [key for key in ("messages", "prompt") if row.get(key) is not None]
    if len(given) == 2:
        raise Refused('The row has both "messages" and "prompt". Keep one of them.')
    if not given:
        raise Refused(
            'The row has no prompt. Give "prompt" (a text) or "messages" '
            '([{"role": "user", "content": "…"}]).'
        )
    value = row[given[0]]
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise Refused(f'"{given[0]}" must be a text or a list of messages.')
    system = row.get("system")
    if system is not None and system != "":
        value = [{"role": "system", "content": system}, *value]
    if not value:
        raise Refused("The prompt has no messages. Give at least one user message.")
    if len(value) > limits.messages:
        raise Refused(
            f"The prompt has {len(value):,} messages; at most {limits.messages} are allowed."
        )
    messages = [_message(item, number) for number, item in enumerate(value, start=1)]
    _check_turns([message["role"] for message in messages])
    return messages


def _message(item: object, number: int) -> dict[str, str]:
    if not isinstance(item, dict):
        raise Refused(f'Message {number} must be an object: {{"role": "user", "content": "…"}}.')
    role, content = item.get("role"), item.get("content")
    if role not in ROLES:
        raise Refused(
            f"Message {number} has the role {_shown(role)}. Use system, user or assistant."
        )
    if item.get("tool_calls"):
        raise Refused(f"Message {number} calls tools, which cannot be labeled here. Leave it out.")
    if not isinstance(content, str):
        raise Refused(f'Message {number}: "content" must be a text.')
    if not content.strip():
        raise Refused(f"Message {number} ({role}) is empty. Write its text or leave it out.")
    return {"role": role, "content": content}


def _check_turns(roles: list[str]) -> None:
    turns = roles[1:] if roles[0] == "system" else roles
    if "system" in turns:
        raise Refused("A system message may only stand first, and only once. Join or remove it.")
    if not turns or turns[-1] != "user":
        raise Refused(
            "The last message must be the user's, which the responses answer. "
            "Remove the answer at the end or add the user's message."
        )
    first = len(roles) - len(turns) + 1
    for position, role in enumerate(turns):
        if role != ("user", "assistant")[position % 2]:
            number = first + position
            raise Refused(
                f"Message {number} is by the {role}, but user and assistant must take turns, "
                "the user first. Join neighbouring messages of the same role."
            )


def _documents(value: object, limits: Limits) -> list[dict[str, str]]:
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise Refused('"documents" must be a list of texts or of {"title": "…", "text": "…"}.')
    if len(value) > limits.documents:
        raise Refused(f"There are {len(value):,} documents; at most {limits.documents} may be.")
    return [_document(item, number) for number, item in enumerate(value, start=1)]


def _document(item: object, number: int) -> dict[str, str]:
    title: object = ""
    text = item
    if isinstance(item, dict):
        title, text = item.get("title") or "", item.get("text")
    if not isinstance(text, str) or not isinstance(title, str):
        raise Refused(f'Document {number} must be a text or {{"title": "…", "text": "…"}}.')
    if not text.strip():
        raise Refused(f"Document {number} is empty. Write its text or leave it out.")
    return {"title": title, "text": text}


def _tags(value: object, limits: Limits) -> list[str]:
    if value is None:
        return []
    parts = value.split(";") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise Refused('"tags" must be a list of texts, or one text separated by semicolons.')
    tags = list(dict.fromkeys(stripped for part in parts if (stripped := part.strip())))
    if len(tags) > limits.tags:
        raise Refused(f"There are {len(tags):,} tags; at most {limits.tags} may be.")
    for tag in tags:
        _label(tag, "tag", limits.tag_characters)
    return tags


def _external_id(row: Mapping[str, object], limits: Limits) -> str:
    ids = [row[key] for key in ("external_id", "id") if row.get(key) is not None]
    return _label(ids[0] if ids else None, "id", limits.external_id_characters)


def _label(value: object, name: str, longest: int) -> str:
    """A short text; a whole number will do."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Refused(f'"{name}" must be a text or a whole number.')
    if len(value) > longest:
        raise Refused(f'"{name}" has {len(value):,} characters; at most {longest} may be.')
    return value.strip()


def _shown(value: object) -> str:
    return json.dumps(value)[:40]
