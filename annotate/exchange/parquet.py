"""A Parquet file that is handed over while it is being written."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from annotate.exchange.sink import Sink

Numbers = Sequence[int] | npt.NDArray[np.integer[npt.NBitBase]]

# The texts of a row group are written once, as a dictionary of this size at most.
DICTIONARY_BYTES = 1 << 28

ROLES = ("system", "user", "assistant")
TEXT = pa.dictionary(pa.int32(), pa.string())
MESSAGES = pa.list_(pa.struct([("role", TEXT), ("content", TEXT)]))


def stream_tables(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[bytes]:
    """Yield a Parquet file in pieces, each table as a row group. No table makes an empty file.

    When reading the tables fails, the end of the file is not handed over, so that nothing can open
    the rest of it. Text columns of the tables may be dictionaries: they are written as such, once
    a row group, and read back as plain text.
    """
    sink = Sink()
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=1,
        dictionary_pagesize_limit=DICTIONARY_BYTES,
        store_schema=False,
        write_statistics=False,
    ) as writer:
        for table in tables:
            if table.num_rows:
                writer.write_table(table, row_group_size=table.num_rows)
                yield sink.taken()
    yield sink.taken()


class Vocabulary:
    """Distinct texts of a row group, numbered in the order in which they came."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))

    def column(self, numbers: Numbers) -> pa.DictionaryArray:
        return dictionary(numbers, list(self.numbers))


class Conversations:
    """The prompts of a row group, each kept once."""

    def __init__(self) -> None:
        self.roles: list[int] = []
        self.contents: list[str] = []
        self.offsets = [0]

    def add(self, messages: Sequence[Mapping[str, str]]) -> int:
        """The number of the conversation."""
        for message in messages:
            self.roles.append(ROLES.index(message["role"]))
            self.contents.append(message["content"])
        self.offsets.append(len(self.contents))
        return len(self.offsets) - 2

    def column(self, numbers: Numbers) -> pa.ListArray:
        """One conversation a row; texts stay numbers, so nothing is copied."""
        contents = dictionary(np.arange(len(self.contents)), self.contents)
        turns = pa.StructArray.from_arrays(
            [dictionary(self.roles, ROLES), contents], names=["role", "content"]
        )
        every = pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), turns)
        return every.take(pa.array(numbers))


def answers(numbers: Numbers, texts: Sequence[str]) -> pa.ListArray:
    """Conversations of one assistant turn: texts[number] in each row."""
    rows = len(numbers)
    roles = dictionary(np.full(rows, ROLES.index("assistant")), ROLES)
    turns = pa.StructArray.from_arrays(
        [roles, dictionary(numbers, texts)], names=["role", "content"]
    )
    return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1), pa.int32()), turns)


def dictionary(numbers: Numbers, texts: Sequence[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(
        pa.array(numbers, pa.int32()), pa.array(texts, TEXT.value_type)
    )
