"""The data files of a spec, as one stream of examples, encoded."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import orjson

from formats.conversation import Messages, prompt_hash
from training.engine.data import files
from training.engine.data.chat import NO_THOUGHT, Chat
from training.engine.data.encoding import Encoder
from training.engine.data.examples import Example, Said
from training.engine.data.fitting import Fitted, Fitting
from training.engine.data.formats import Format
from training.engine.data.identical import without_alike_pairs
from training.engine.data.report import DropReport, Drops, Refused
from training.engine.data.rows import read_rows
from training.engine.errors import DataError
from training.engine.groups import Tokens
from training.engine.spec import Data

# Rows whose texts are held and encoded together.
CHUNK = 1 << 10
# Changes whenever the same files would give other groups.
VERSION = 3


class Part(NamedTuple):
    """Files of one format with what they are for."""

    role: str
    format: Format
    paths: Sequence[Path]


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example in tokens.

    messages: what is asked, without the old turns that were over the limit. prompt_hash: of the
    whole prompt, equal for prompts that must be on the same side of a split. identity: equal for
    rows with the same prompt and the same answers. completions: None for one that is too long.
    """

    where: str
    messages: Messages
    prompt_hash: bytes
    identity: bytes
    prompt: Tokens
    completions: tuple[Tokens | None, ...]
    said: Said | None
    held_out: bool | None
    desirable: bool | None = None


class Source:
    """Reads and encodes files, and counts what is left out.

    answered: the answers of the rows are wanted, not their prompts only.
    Raises DataError from the start for a file that is not there or a chat template that cannot be
    trained with.
    """

    def __init__(
        self,
        data: Data,
        chat: Chat,
        parts: Sequence[tuple[str, Format, Iterable[str]]],
        *,
        answered: bool = True,
    ) -> None:
        self.drops = Drops()
        self.parts = [Part(role, format, files.located(names)) for role, format, names in parts]
        paths = [path for part in self.parts for path in part.paths]
        if not paths:
            raise DataError("No data files are given.", advice="Name them in the spec's data.")
        if doubled := [path for path in paths if paths.count(path) > 1]:
            raise DataError(
                f"The data file {doubled[0]} is given twice.", advice="Keep one of them."
            )
        self._labels = dict(zip(paths, files.labels(paths), strict=True))
        self._chat = chat
        self._answered = answered
        self._encoder = Encoder(
            chat,
            max_prompt_tokens=data.max_prompt_tokens,
            max_completion_tokens=data.max_completion_tokens,
        )
        self._fitting = Fitting(self._encoder)

    def encoded(self, *roles: str) -> Iterator[Encoded]:
        """The usable rows of the files with these roles, in their order."""
        examples = (
            example for part in self.parts if part.role in roles for example in self._examples(part)
        )
        while chunk := list(islice(examples, CHUNK)):
            yield from self._encode(chunk)

    def report(self) -> DropReport:
        return self.drops.report()

    def content_hash(self, settings: dict[str, object]) -> str:
        """sha256 of the files, and of all settings that change what is made of them."""
        settings |= {"version": VERSION, **self._encoder.settings}
        text = orjson.dumps(settings, option=orjson.OPT_SORT_KEYS).decode()
        return files.content_hash([(part.role, part.paths) for part in self.parts], text)

    def _examples(self, part: Part) -> Iterator[Example]:
        for path in part.paths:
            for row in read_rows(path, self._labels[path], self.drops):
                self.drops.unread(part.format.unread(row), part.format.about)
                try:
                    yield from part.format.read(row)
                except Refused as refused:
                    self.drops.refuse(row.where, refused)

    def _encode(self, chunk: Sequence[Example]) -> Iterator[Encoded]:
        prompts = self._fitting.fitted([example.prompt for example in chunk])
        answers = [answer for example in chunk for answer in example.answers]
        tokens = iter(self._encoder.completions(answers))
        self.drops.counted["prompts"] += len(chunk)
        self.drops.counted["completions"] += len(answers)
        for example, prompt in zip(chunk, prompts, strict=True):
            completions = tuple(islice(tokens, len(example.answers)))
            said = without_alike_pairs(example, self.drops)
            if isinstance(prompt, Refused):
                self.drops.refuse(example.where, prompt, unit="prompts")
            elif not self._has_thoughts(example):
                self.drops.add(example.where, NO_THOUGHT)
            else:
                yield self._encoded(replace(example, said=said), prompt, completions)

    def _encoded(
        self, example: Example, prompt: Fitted, completions: tuple[Tokens | None, ...]
    ) -> Encoded:
        if prompt.dropped:
            self.drops.shortened(prompt.dropped)
        return Encoded(
            example.where,
            prompt.messages,
            bytes.fromhex(prompt_hash(example.prompt)),
            _identity(example),
            prompt.tokens,
            completions,
            example.said,
            example.held_out,
            example.desirable,
        )

    def _has_thoughts(self, example: Example) -> bool:
        """Where prompts open a thought, each whole answer has to close it."""
        return not self._answered or all(
            one.cut_off or self._chat.has_thought(one.text) for one in example.answers
        )


def nothing_left(what: str, report: DropReport) -> DataError:
    """words: what there is nothing of; the most frequent reasons follow."""
    if not report.rows:
        return DataError(f"{what}: the files are empty.")
    reasons = "; ".join(
        f"{one.reason} ({one.count:,} times, first at {one.examples[0]})"
        for one in report.dropped[:3]
    )
    return DataError(f"{what}. Rows: {report.rows:,}. Left out: {reasons or 'none'}.")


def _identity(example: Example) -> bytes:
    answers = [[answer.text, answer.cut_off] for answer in example.answers]
    turns = [[turn["role"], turn["content"]] for turn in example.prompt]
    return files.digest(orjson.dumps([turns, answers]))
