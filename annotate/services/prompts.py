"""Importing prompts: everything good is kept, everything else is explained by its line."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

from django.db import transaction

from annotate.exchange.prompts import Format, ParsedPrompt, Problem, read_prompts
from annotate.models import Project, Prompt
from annotate.services import audit
from formats.control_tokens import likely
from formats.echo import echo

BATCH = 500
PROBLEMS_SHOWN = 200
COLUMNS_SHOWN = 200
COLUMN = 80  # characters of its name
OTHERS = "…"
EXCERPT = 300
TOKENS_NAMED = 5


@dataclass(slots=True)
class ImportReport:
    """imported + duplicates + refused = rows of the file. At most 200 problems are listed.

    unread: in how many of the imported and duplicate rows a column said something that was left
    out; beyond 200 columns, those that came last are one.
    with_control_tokens: rows that were kept and hold what some models read as a control token; at
    most 200 of them are listed as control_tokens.
    """

    imported: int = 0
    duplicates: int = 0
    refused: int = 0
    problems: list[Problem] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    with_control_tokens: int = 0
    control_tokens: list[Problem] = field(default_factory=list)

    @property
    def more_problems(self) -> int:
        return self.refused - len(self.problems)

    def read_past(self, columns: Iterable[str]) -> None:
        for name in columns:
            known = echo(name, COLUMN)
            full = known not in self.unread and len(self.unread) >= COLUMNS_SHOWN
            self.unread[OTHERS if full else known] += 1


@transaction.atomic
def import_prompts(
    *,
    project_id: int,
    actor_id: int | None,
    source: BinaryIO | bytes | str,
    format: Format,
    refuse_control_tokens: bool = False,
) -> ImportReport:
    """Add the prompts of a JSONL or CSV file to a project.

    A prompt that the project has already is counted as a duplicate, so importing the same file
    twice adds nothing. The file is read in constant memory. Control tokens of models ("<|im_end|>")
    are reported; models read them as plain text, people as they were written.
    refuse_control_tokens: such rows are refused instead.
    """
    report = ImportReport()
    project = Project.objects.get(pk=project_id)
    rows = _looked_over(read_prompts(source, format), report, refuse=refuse_control_tokens)
    for batch in _batches(_good(rows, report)):
        stored = _store(project_id, batch)
        report.imported += stored
        report.duplicates += len(batch) - stored
    audit.record(
        verb="imported prompts",
        of=project,
        project_id=project_id,
        actor_id=actor_id,
        imported=report.imported,
        duplicates=report.duplicates,
        refused=report.refused,
        with_control_tokens=report.with_control_tokens,
    )
    return report


def _looked_over(
    rows: Iterable[ParsedPrompt | Problem], report: ImportReport, *, refuse: bool
) -> Iterator[ParsedPrompt | Problem]:
    """The same rows; those with control tokens are noted, or become problems."""
    for row in rows:
        found = [] if isinstance(row, Problem) else _control_tokens(row)
        if isinstance(row, Problem) or not found:
            yield row
            continue
        names = ", ".join(found[:TOKENS_NAMED])
        excerpt = row.messages[-1]["content"][:EXCERPT]
        if refuse:
            yield Problem(row.line, f"The text has control tokens of models: {names}.", excerpt)
            continue
        report.with_control_tokens += 1
        if len(report.control_tokens) < PROBLEMS_SHOWN:
            report.control_tokens.append(Problem(row.line, names, excerpt))
        yield row


def _control_tokens(row: ParsedPrompt) -> list[str]:
    texts = [message["content"] for message in row.messages]
    return likely([*texts, *(text for part in row.documents for text in part.values())])


def _good(rows: Iterable[ParsedPrompt | Problem], report: ImportReport) -> Iterator[ParsedPrompt]:
    for row in rows:
        if isinstance(row, Problem):
            report.refused += 1
            if len(report.problems) < PROBLEMS_SHOWN:
                report.problems.append(row)
        else:
            report.read_past(row.unread)
            yield row


def _batches(rows: Iterator[ParsedPrompt]) -> Iterator[list[ParsedPrompt]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _store(project_id: int, batch: list[ParsedPrompt]) -> int:
    """Insert what is new; returns how many rows that were.

    Two imports of the same file at once wait for each other on the unique hash instead of failing.
    """
    known = set(
        Prompt.objects.filter(
            project_id=project_id, content_hash__in=[row.content_hash for row in batch]
        ).values_list("content_hash", flat=True)
    )
    new: dict[str, ParsedPrompt] = {}
    for row in batch:
        if row.content_hash not in known:
            new.setdefault(row.content_hash, row)  # of twins, the first
    Prompt.objects.bulk_create(
        [_prompt(project_id, row) for row in new.values()], ignore_conflicts=True
    )
    return len(new)


def _prompt(project_id: int, row: ParsedPrompt) -> Prompt:
    return Prompt(
        project_id=project_id,
        messages=row.messages,
        documents=row.documents,
        tags=[*row.tags, *([f"source:{row.source}"[:80]] if row.source else [])],
        external_id=row.external_id,
        content_hash=row.content_hash,
        split=row.split,
        excerpt=" ".join(row.messages[-1]["content"][: 2 * EXCERPT].split())[:EXCERPT],
        turns=len(row.messages),
    )
