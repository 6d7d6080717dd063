"""Reading prompts from JSONL and CSV, row by row, in constant memory.

JSONL: one object a line, {"messages" | "prompt", "system"?, "documents"?, "tags"?, "id"?,
"source"?}. CSV: a header with prompt and any of system, id, tags (separated by semicolons), source.
A prompt may be a transcript "\\n\\nHuman: …\\n\\nAssistant:", which becomes messages. Other columns
are left out and named; those that would change what models are asked are refused with their row.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, NoReturn, TextIO

from annotate.exchange.csv_records import Record, read_records
from annotate.exchange.lines import Line, NotText, read_lines
from annotate.exchange.prompt_rows import (
    READ,
    Limits,
    ParsedPrompt,
    Refused,
    Split,
    parse_row,
    split_of,
)
from formats.echo import echo
from formats.nesting import too_deep

__all__ = [
    "STANDARD",
    "Format",
    "Limits",
    "ParsedPrompt",
    "Problem",
    "Split",
    "read_prompts",
    "split_of",
]

Format = Literal["jsonl", "csv"]

STANDARD = Limits()
EXCERPT = 120
TOO_DEEP = "The JSON is nested too deeply. Write one flat object a line."


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row was refused, in words that say what to do, and how the row begins."""

    line: int
    reason: str
    excerpt: str


def read_prompts(
    source: BinaryIO | TextIO | bytes | str, format: Format, limits: Limits = STANDARD
) -> Iterator[ParsedPrompt | Problem]:
    """Yield a prompt or a problem for every row that is not blank, in the order of the file.

    Memory is bounded by a few times `limits.line_bytes`. Whether a prompt is in the project
    already is not known here: compare their `content_hash`.
    """
    rows = _csv_rows if format == "csv" else _jsonl_rows
    try:
        lines = read_lines(source, limits.line_bytes)
    except NotText as error:
        yield Problem(1, str(error), "")
        return
    empty = True
    for row in rows(lines, limits):
        empty = False
        yield row
    if empty:
        yield Problem(1, "The file has no prompts. Give one prompt a line.", "")


def _jsonl_rows(lines: Iterator[Line], limits: Limits) -> Iterator[ParsedPrompt | Problem]:
    for line in lines:
        if line.reason:
            yield _problem(line.number, line.reason, line.text)
        elif line.text.strip():
            try:
                yield parse_row(_json_object(line.text), line=line.number, limits=limits)
            except Refused as error:
                yield _problem(line.number, str(error), line.text)


def _csv_rows(lines: Iterator[Line], limits: Limits) -> Iterator[ParsedPrompt | Problem]:
    records = read_records(lines, limits.line_bytes)
    header = next((record for record in records if any(record.fields) or record.reason), None)
    if header is None:
        return
    try:
        columns = _columns(header)
    except Refused as error:
        yield _problem(header.line, str(error), header.excerpt or ",".join(header.fields))
        return
    for record in records:
        if record.reason:
            yield _problem(record.line, record.reason, record.excerpt)
        elif any(field.strip() for field in record.fields):
            try:
                yield parse_row(_row(record, columns), line=record.line, limits=limits)
            except Refused as error:
                yield _problem(record.line, str(error), ",".join(record.fields))


def _columns(header: Record) -> list[str]:
    if header.reason:
        raise Refused(f"The header cannot be read. {header.reason}")
    columns = [name.strip().lower() for name in header.fields]
    if "prompt" not in columns:
        raise Refused(
            'The first line must name the columns, one of them "prompt" '
            "(and, if you like, system, id, tags, source), separated by commas."
        )
    doubled = {name for name in READ if columns.count(name) > 1}
    if doubled:
        raise Refused(f'The column "{min(doubled)}" is there twice. Keep one of them.')
    return [name or f"column {place}" for place, name in enumerate(columns, start=1)]


def _row(record: Record, columns: list[str]) -> dict[str, object]:
    if len(record.fields) != len(columns):
        raise Refused(
            f"The row has {len(record.fields)} fields, but the header names {len(columns)} "
            "columns. Put texts that contain commas or line breaks in double quotes."
        )
    cells = zip(columns, record.fields, strict=True)
    return {name: cell for name, cell in cells if cell.strip()}


def _json_object(text: str) -> dict[str, object]:
    if too_deep(text.encode("utf-8", "surrogatepass")):
        raise Refused(TOO_DEEP)
    try:
        row = json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Refused(
            f"Not valid JSON at character {error.pos + 1}: {error.msg}. "
            "Write one JSON object a line."
        ) from None
    except RecursionError:
        raise Refused(TOO_DEEP) from None
    except Refused:
        raise
    except ValueError:
        raise Refused("A number has too many digits. Write it as a text in quotes.") from None
    if not isinstance(row, dict):
        raise Refused('The line is not a JSON object. Write {"prompt": "…"} on each line.')
    return row


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) != len(pairs):
        times = Counter(key for key, _ in pairs)
        doubled = next(key for key, count in times.items() if count > 1)
        raise Refused(f'The key "{echo(doubled)}" is there twice. Keep one of them.')
    return row


def _no_constant(name: str) -> NoReturn:
    raise Refused(f"{name} is not valid JSON. Write a number, a text or null.")


def _problem(line: int, reason: str, text: str) -> Problem:
    return Problem(line, reason, echo(text, EXCERPT))
