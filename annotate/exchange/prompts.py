"""Reading prompts from JSONL and CSV, line by line, in constant memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal, TextIO

Format = Literal["jsonl", "csv"]
Split = Literal["train", "held_out"]


@dataclass(frozen=True, slots=True)
class Limits:
    line_bytes: int = 1_000_000
    characters: int = 100_000
    messages: int = 100
    documents: int = 50
    tags: int = 50
    tag_characters: int = 64
    external_id_characters: int = 200


@dataclass(frozen=True, slots=True)
class ParsedPrompt:
    line: int
    messages: list[dict[str, str]]
    documents: list[dict[str, str]]
    tags: list[str]
    external_id: str
    source: str
    content_hash: str
    split: Split


@dataclass(frozen=True, slots=True)
class Problem:
    line: int
    reason: str
    excerpt: str


def read_prompts(
    source: BinaryIO | TextIO | bytes | str, format: Format, limits: Limits = Limits()
) -> Iterator[ParsedPrompt | Problem]:
    """Yield a prompt or a problem for every line (CSV: record) that is not blank."""
    raise NotImplementedError


def content_hash(
    messages: Sequence[Mapping[str, str]], documents: Sequence[Mapping[str, str]]
) -> str:
    """64 hex digits, equal for prompts that differ in nothing a model could tell apart."""
    raise NotImplementedError


def split_of(content_hash: str) -> Split:
    """One prompt in ten is held out, for ever, by its hash."""
    raise NotImplementedError
