"""A snapshot's files of JSON lines as Parquet, with the same columns.

They are made when somebody asks for them: how Parquet is written depends on the library's version,
and a snapshot's content must not.
"""

from collections.abc import Iterable, Iterator

import orjson
import pyarrow as pa

from annotate.exchange.parquet import stream_tables

LINES, PARQUET = ".jsonl", ".parquet"
ROW_GROUP_ROWS = 1 << 12
ROW_GROUP_BYTES = 1 << 25

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_NUMBERS = pa.list_(pa.int64())
_COMPLETION = pa.struct(
    [
        ("id", pa.int64()),
        ("text", pa.string()),
        ("model", pa.string()),
        ("adapter_hash", pa.string()),
        ("finish_reason", pa.string()),
    ]
)
SCHEMAS = {
    "rankings": pa.schema(
        [
            ("prompt", _MESSAGES),
            ("completions", pa.list_(_COMPLETION)),
            ("task_id", pa.int64()),
            ("prompt_id", pa.int64()),
            ("documents_json", pa.string()),
            ("round", pa.int64()),
            ("split", pa.string()),
            ("labeler", pa.string()),
            ("tiers", pa.list_(_NUMBERS)),
            ("strengths", _NUMBERS),
            ("unacceptable", pa.list_(pa.bool_())),
            ("weight", pa.float64()),
            ("rankings", _NUMBERS),
        ]
    ),
    "demonstrations": pa.schema(
        [
            ("prompt", _MESSAGES),
            ("completion", _MESSAGES),
            ("task_id", pa.int64()),
            ("prompt_id", pa.int64()),
            ("round", pa.int64()),
            ("split", pa.string()),
            ("labeler", pa.string()),
            ("ranking", pa.int64()),
        ]
    ),
}


def parquet_of(kind: str, lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a Parquet file in pieces, in the memory of one row group.

    kind: "rankings" or "demonstrations". lines: of such a file of the snapshot.
    """
    schema = SCHEMAS[kind]
    return stream_tables(_tables(lines, schema), schema)


def _tables(lines: Iterable[bytes], schema: pa.Schema) -> Iterator[pa.Table]:
    rows, size = [], 0
    for line in lines:
        rows.append(orjson.loads(line))
        size += len(line)
        if len(rows) >= ROW_GROUP_ROWS or size >= ROW_GROUP_BYTES:
            yield pa.Table.from_pylist(rows, schema=schema)
            rows, size = [], 0
    yield pa.Table.from_pylist(rows, schema=schema)
