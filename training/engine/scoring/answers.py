"""answers.jsonl: the answers that are to be scored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from formats.conversation import Messages, Unreadable, answerable, messages
from training.engine.data.examples import Answer
from training.engine.data.formats import in_words
from training.engine.data.report import Drops, Refused
from training.engine.data.rows import Row, read_rows
from training.engine.errors import DataError

ADVICE = (
    'Each line is {"id": 7, "messages": [{"role": "user", "content": "…"}], "completion": "…"}, '
    "each id once."
)


@dataclass(frozen=True, slots=True)
class Given:
    """An answer to a conversation that ends with the user's turn."""

    id: int
    messages: Messages
    answer: Answer


def read_answers(path: Path) -> list[Given]:
    """All of them. Raises DataError for the first line that cannot be scored, and for none."""
    if not path.is_file():
        raise DataError(f"There is no {path.name} in {path.parent}.", advice=ADVICE)
    drops = Drops()
    found: dict[int, Given] = {}
    for row in read_rows(path, path.name, drops):
        try:
            given = _given(row.values)
        except Refused as refused:
            raise _wrong(row, str(refused)) from refused
        if given.id in found:
            raise _wrong(row, f"the id {given.id} was there before")
        found[given.id] = given
    if (report := drops.report()).dropped:
        first = report.dropped[0]
        raise DataError(f"{first.examples[0]}: {first.reason}.", advice=ADVICE)
    if not found:
        raise DataError(f"{path.name} has no answers.", advice=ADVICE)
    return list(found.values())


def _wrong(row: Row, what: str) -> DataError:
    return DataError(f"{row.where}: {what}.", advice=ADVICE)


def _given(values: dict[str, Any]) -> Given:
    """Raises Refused."""
    number, text = values.get("id"), values.get("completion")
    if type(number) is not int:
        raise Refused("the id is not a whole number")
    if not isinstance(text, str):
        raise Refused("the completion is not a text")
    try:
        turns = answerable(messages(values.get("messages"), role="user"))
    except Unreadable as problem:
        raise in_words(problem) from None
    # An answer without any token would have no last token to read the reward off.
    cut_off = bool(text) and values.get("finish_reason") == "length"
    return Given(number, turns, Answer(text, cut_off))
