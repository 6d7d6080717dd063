"""What a format of data files reads of a row, and in which words it refuses one."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from formats.columns import meaningful, unread
from formats.conversation import (
    SYSTEM,
    Flaw,
    Messages,
    Unreadable,
    answerable,
    is_open_transcript,
    with_system,
)
from formats.documents import documents, with_documents
from training.engine.data.examples import Example
from training.engine.data.report import Refused
from training.engine.data.rows import Row

REASONS = {
    Flaw.NOT_MESSAGES: "a conversation is not a text or a list of {role, content}",
    Flaw.NOT_A_MESSAGE: "a conversation is not a text or a list of {role, content}",
    Flaw.UNKNOWN_ROLE: "a message's role is not system, user or assistant",
    Flaw.NO_TEXT: "a message's content is not a text",
    Flaw.TOOLS: "a message calls tools",
    Flaw.EMPTY: "the prompt is empty",
    Flaw.NOT_THE_USERS: "the prompt does not end with the user's turn",
    Flaw.NOT_A_TRANSCRIPT: "the text is not a transcript of Human: and Assistant: turns",
    Flaw.SYSTEM_NO_TEXT: "the column system or system_prompt is not a text",
    Flaw.TWO_SYSTEMS: "the row has two different system messages",
    Flaw.NOT_DOCUMENTS: "documents_json is not a JSON list of {title, text}",
    Flaw.BAD_DOCUMENT: "documents_json is not a JSON list of {title, text}",
    Flaw.EMPTY_DOCUMENT: "a context document is empty",
}
DOCUMENTS = ("documents", "documents_json")
REPEATED = (
    "every answer begins with the text of the prompt, which would be learned twice; take the "
    "prompt out of the answers"
)
# A single answer of few words may well begin like its prompt: "Hello" and "Hello there".
WORDS_REPEATED = 3


def lost(name: str) -> str:
    """The reason for a row whose column, or message's key, changes what it means."""
    return f"{name} would change what the row means, and is not supported"


def in_words(problem: Unreadable) -> Refused:
    """The same refusal as the reports of runs say it."""
    if problem.flaw is Flaw.MORE_THAN_TEXT:
        return Refused(lost(f"a message's {problem.detail}"))
    return Refused(REASONS[problem.flaw], problem.detail)


@dataclass(frozen=True)
class Format:
    """Rows of one kind.

    read: what a row says; raises Refused and Unreadable. columns: all that it reads, and
    "column.key" of objects in a list. about: what Prefloop's own files say about a row that no
    training needs; counted as unread, but no news to anybody.
    """

    examples: Callable[[Row], Iterable[Example]]
    columns: frozenset[str]
    about: frozenset[str] = frozenset()

    def read(self, row: Row) -> list[Example]:
        """Raises Refused."""
        if name := meaningful(row.values, self.columns):
            raise Refused(lost(f"the column {name}"))
        try:
            return list(self.examples(row))
        except Unreadable as problem:
            raise in_words(problem) from None

    def unread(self, row: Row) -> Iterator[str]:
        """The row's columns that say something and are not read."""
        return unread(row.values, self.columns)


def columns(*names: str) -> frozenset[str]:
    """The columns of a format, with those of a prompt."""
    return frozenset({"prompt", "split", *SYSTEM, *DOCUMENTS, *names})


def prompt_of(turns: Messages, values: Mapping[str, Any]) -> Messages:
    """What a model is asked: the turns with the row's system message and documents.

    Raises Unreadable.
    """
    told = with_system(answerable(turns), values)
    for name in DOCUMENTS:
        told = with_documents(told, documents(values.get(name)))
    return told


def refuse_repeated(prompt: Any, answers: Iterable[Any]) -> None:
    """Raises Refused where every answer goes on from a copy of the prompt, all plain texts.

    Some files have the prompt in front of each answer as well. Nobody can tell a copy from an
    answer that begins so, therefore nothing is cut off: the row is left out, and said to be.
    """
    given = list(answers)
    texts = [one for one in given if isinstance(one, str)]
    if not isinstance(prompt, str) or not prompt.strip() or len(texts) < max(len(given), 1):
        return
    if is_open_transcript(prompt):  # what its answers repeat is recognized
        return
    if len(texts) == 1 and len(prompt.split()) < WORDS_REPEATED:
        return
    rest = [one[len(prompt) :] for one in texts if one.startswith(prompt)]
    if len(rest) == len(texts) and all(
        not behind or behind[0].isspace() or prompt[-1].isspace() for behind in rest
    ):
        raise Refused(REPEATED)
