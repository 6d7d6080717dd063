"""One row of an import file as a prompt, or the reason why it cannot be one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from formats.bounds import TAG
from formats.columns import meaningful, unread
from formats.conversation import SYSTEM, Flaw, Unreadable, asked, prompt_hash, with_system
from formats.documents import documents

Split = Literal["train", "held_out"]

HELD_OUT_PERCENT = 10
READ = frozenset(
    {"messages", "prompt", *SYSTEM, "documents", "tags", "id", "external_id", "source"}
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one prompt may be. line_bytes also bounds the memory that reading takes."""

    line_bytes: int = 1_000_000
    characters: int = 100_000
    messages: int = 100
    documents: int = 50
    tags: int = 50
    tag_characters: int = TAG
    external_id_characters: int = 200


@dataclass(frozen=True, slots=True)
class ParsedPrompt:
    """A prompt as it will be stored: texts verbatim, `external_id` and `source` "" when not given.

    messages: [{"role", "content"}], ending with the user's. documents: [{"title", "text"}].
    line: where it starts in the file, from 1. unread: columns of the row that say something and
    were left out, and keys of its messages as "messages.name".
    """

    line: int
    messages: list[dict[str, str]]
    documents: list[dict[str, str]]
    tags: list[str]
    external_id: str
    source: str
    content_hash: str
    split: Split
    unread: tuple[str, ...] = ()


class Refused(ValueError):
    """A row that is no prompt; the message says what to do."""


def parse_row(row: Mapping[str, object], *, line: int, limits: Limits) -> ParsedPrompt:
    """A prompt from {messages | prompt, system?, documents?, tags?, id | external_id?, source?}.

    Other keys are left out and named in `unread`; those that would change what the models are
    asked are refused. Raises Refused.
    """
    if name := meaningful(row, READ):
        raise Refused(
            f'"{name}" changes what the models are asked, and is not supported. Put what it says '
            'into the messages, "system" or "documents", or take it out.'
        )
    _refuse_too_many(row, limits)
    try:
        messages = with_system(asked(_conversation(row)), row)
        told = documents(row.get("documents"))
    except Unreadable as problem:
        raise Refused(_in_words(problem, row)) from None
    _check_messages(messages)
    texts = [message["content"] for message in messages]
    texts += [text for document in told for text in document.values()]
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
    digest = prompt_hash(messages, told)
    return ParsedPrompt(
        line,
        messages,
        told,
        tags,
        external_id,
        source,
        digest,
        split_of(digest),
        tuple(unread(row, READ | {"documents.title", "documents.text"})),
    )


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


def _conversation(row: Mapping[str, object]) -> object:
    given = [key for key in ("messages", "prompt") if row.get(key) is not None]
    if len(given) == 2:
        raise Refused('The row has both "messages" and "prompt". Keep one of them.')
    if not given:
        raise Refused(
            'The row has no prompt. Give "prompt" (a text) or "messages" '
            '([{"role": "user", "content": "…"}]).'
        )
    return row[given[0]]


def _refuse_too_many(row: Mapping[str, object], limits: Limits) -> None:
    turns, told = _conversation(row), row.get("documents")
    if isinstance(turns, list) and len(turns) > limits.messages:
        raise Refused(
            f"The prompt has {len(turns):,} messages; at most {limits.messages} are allowed."
        )
    if isinstance(told, list) and len(told) > limits.documents:
        raise Refused(f"There are {len(told):,} documents; at most {limits.documents} may be.")


def _in_words(problem: Unreadable, row: Mapping[str, object]) -> str:
    """What is wrong and what to do, for whoever wrote the file."""
    place, found = problem.number, problem.detail
    message, document = '{"role": "user", "content": "…"}', '{"title": "…", "text": "…"}'
    name = "messages" if row.get("messages") is not None else "prompt"
    return {
        Flaw.NOT_MESSAGES: f'"{name}" must be a text or a list of messages.',
        Flaw.NOT_A_MESSAGE: f"Message {place} must be an object: {message}.",
        Flaw.UNKNOWN_ROLE: f"Message {place} has the role {found}. Use system, user or assistant.",
        Flaw.NO_TEXT: f'Message {place}: "content" must be a text.',
        Flaw.TOOLS: f"Message {place} calls tools, which cannot be labeled here. Leave it out.",
        Flaw.MORE_THAN_TEXT: f'Message {place} has "{found}", which would be lost: it changes what '
        "the message says and is not supported. Put it into the content, or take it out.",
        Flaw.SYSTEM_NO_TEXT: 'The system message must be a text: "system": "…".',
        Flaw.TWO_SYSTEMS: "The row has two different system messages. Keep one of them.",
        Flaw.NOT_DOCUMENTS: f'"documents" must be a list of texts or of {document}.',
        Flaw.BAD_DOCUMENT: f"Document {place} must be a text or {document}.",
        Flaw.EMPTY_DOCUMENT: f"Document {place} is empty. Write its text or leave it out.",
    }.get(problem.flaw, f"The prompt cannot be read: {problem}.")


def _check_messages(messages: list[dict[str, str]]) -> None:
    if not messages:
        raise Refused("The prompt has no messages. Give at least one user message.")
    for number, message in enumerate(messages, start=1):
        if not message["content"].strip():
            raise Refused(
                f"Message {number} ({message['role']}) is empty. Write its text or leave it out."
            )
    _check_turns([message["role"] for message in messages])


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
