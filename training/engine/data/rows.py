"""Rows of JSONL, JSONL.gz and Parquet files, one by one, in bounded memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from training.engine.data.files import BROKEN_ARCHIVE, is_parquet, open_bytes, unreadable
from training.engine.data.report import Drops

# Above any real row; what is longer is skipped without being held.
LINE_BYTES = 1 << 26
# Of Parquet, which is read by many rows at a time; fewer where rows are large (pictures).
PARQUET_ROWS = 1 << 10
PARQUET_BYTES = 1 << 26
_MARK = b"\xef\xbb\xbf"

NOT_JSON = "line is not JSON in UTF-8"
NOT_AN_OBJECT = "line is not a JSON object"
TOO_LONG = f"line is longer than {LINE_BYTES >> 20} MiB"
NOT_TEXT = "row holds text that is not UTF-8"


class Row(NamedTuple):
    """where: "file:line", lines of Parquet being its rows from 1. values: without the nulls."""

    where: str
    values: dict[str, Any]


def read_rows(path: Path, label: str, drops: Drops) -> Iterator[Row]:
    """Every readable row; the others are counted in `drops`, blank lines are not.

    label: what the file is called in messages. Raises DataError when the file cannot be read.
    """
    found = _parquet(path, label, drops) if is_parquet(path) else _jsonl(path, label, drops)
    for row in found:
        known = {name: value for name, value in row.values.items() if value is not None}
        yield Row(row.where, known)


def _jsonl(path: Path, label: str, drops: Drops) -> Iterator[Row]:
    for number, line in _lines(path):
        where = f"{label}:{number}"
        if line is None:
            drops.counted["rows"] += 1
            drops.add(where, TOO_LONG)
            continue
        if not line.strip():
            continue
        drops.counted["rows"] += 1
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            drops.add(where, NOT_JSON, str(error))
            continue
        if isinstance(value, dict):
            yield Row(where, value)
        else:
            drops.add(where, NOT_AN_OBJECT, type(value).__name__)


def _lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines; None for one that is too long to be held."""
    with open_bytes(path) as file:
        number = 0
        try:
            while line := file.readline(LINE_BYTES + 1):
                number += 1
                if number == 1:
                    line = line.removeprefix(_MARK)
                if len(line) <= LINE_BYTES:
                    yield number, line
                    continue
                while line and not line.endswith(b"\n"):
                    line = file.readline(LINE_BYTES)
                yield number, None
        except (OSError, *BROKEN_ARCHIVE) as error:
            raise unreadable(path, error) from error


def _parquet(path: Path, label: str, drops: Drops) -> Iterator[Row]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_rows_at_a_time(file.metadata)):
                for values in _values(batch):
                    number += 1
                    drops.counted["rows"] += 1
                    if values is None:
                        drops.add(f"{label}:{number}", NOT_TEXT)
                    else:
                        yield Row(f"{label}:{number}", values)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _rows_at_a_time(metadata: Any) -> int:
    groups = range(metadata.num_row_groups)
    size: int = sum(metadata.row_group(number).total_byte_size for number in groups)
    a_row: int = size // max(metadata.num_rows, 1)
    return max(1, min(PARQUET_ROWS, PARQUET_BYTES // max(a_row, 1)))


def _values(batch: Any) -> Iterator[dict[str, Any] | None]:
    """Of each row its values; None where a text is not UTF-8."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            yield None
            return
        for number in range(batch.num_rows):
            yield from _values(batch.slice(number, 1))
