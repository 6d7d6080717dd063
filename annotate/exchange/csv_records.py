"""CSV as records that know their line, in bounded memory, whatever the quotes do."""

import csv
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from annotate.exchange.lines import Line

MAX_UNCLOSED = 20


class Record(NamedTuple):
    """The fields of one record, or the reason why there are none and how the record begins."""

    line: int
    fields: list[str]
    reason: str = ""
    excerpt: str = ""


def read_records(lines: Iterator[Line], limit: int) -> Iterator[Record]:
    """Yield the records of RFC 4180 CSV; a damaged one costs only itself.

    limit: characters a record may have. A quote that is never closed would swallow the rest of the
    file: then the record is given up after `limit` and reading goes on with its second line. As
    that reads lines again, it happens at most MAX_UNCLOSED times, then the reading ends.
    """
    feed = _Feed(lines, limit)
    reader = csv.reader(feed, strict=True)
    unclosed = 0
    while True:
        feed.begin_record()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except _Unreadable as error:
            yield feed.refused(error.line.reason, error.line.text)
        except _Unclosed:
            unclosed += 1
            yield feed.first_line_alone()
            if unclosed == MAX_UNCLOSED:
                yield Record(
                    feed.next_number(),
                    [],
                    f"The quotes of {MAX_UNCLOSED} records are never closed; the rest of the file "
                    "was not read. Close every quote and import the file again.",
                )
                return
        except csv.Error as error:
            yield feed.refused(_explained(str(error)))
        else:
            if fields:
                yield Record(feed.start, fields)


def _explained(error: str) -> str:
    if "field limit" in error:
        return "A field is too long. Shorten the prompt."
    return (
        "A quoted field goes on after its closing quote. Double the quotes inside the text "
        '("") and put the whole field in quotes.'
    )


class _Unreadable(Exception):
    def __init__(self, line: Line) -> None:
        super().__init__(line.reason)
        self.line = line


class _Unclosed(Exception):
    pass


class _Feed:
    """The lines of the record being read; they can be given back."""

    def __init__(self, lines: Iterator[Line], limit: int) -> None:
        self.lines = lines
        self.limit = limit
        self.record: list[Line] = []
        self.ahead: deque[Line] = deque()
        self.size = 0
        self.odd_quotes = False
        self.start = 1

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        if self.size > self.limit:
            raise _Unclosed
        line = self._take()
        if line is None:
            if self.record:
                raise _Unclosed
            raise StopIteration
        if line.reason:
            raise _Unreadable(line)
        return line.text + line.end

    def begin_record(self) -> None:
        self.start = self.next_number()
        self.record = []
        self.size = 0
        self.odd_quotes = False

    def next_number(self) -> int:
        if self.ahead:
            return self.ahead[0].number
        return self.record[-1].number + 1 if self.record else self.start

    def refused(self, reason: str, excerpt: str = "") -> Record:
        """Give up the record, with the lines that its quotes enclose, and say so."""
        begins = excerpt or self.record[0].text
        while self.odd_quotes and self.size <= self.limit and self._take():
            pass
        if (last := self.record[-1].number) > self.start:
            reason += f" The record ends in line {last:,}; reading went on after it."
        return Record(self.start, [], reason, begins)

    def first_line_alone(self) -> Record:
        """The record's first line for itself; its other lines are given back."""
        first = self.record[0]
        self.ahead.extendleft(reversed(self.record[1:]))
        self.record = [first]
        try:
            fields = next(csv.reader([first.text], strict=True))
        except csv.Error:
            return Record(
                self.start,
                [],
                "A quote in this line is never closed. Close it, and double the quotes inside "
                'the text ("").',
                first.text,
            )
        return Record(self.start, fields)

    def _take(self) -> Line | None:
        line = self.ahead.popleft() if self.ahead else next(self.lines, None)
        if line is not None:
            self.record.append(line)
            self.size += len(line.text) + len(line.end)
            self.odd_quotes ^= line.open_quote if line.reason else line.text.count('"') % 2 == 1
        return line
