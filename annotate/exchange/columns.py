"""The columns of an exported file: name, type, and what it says, in one place for all readers."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

_NAMES = {pa.int64(): "int", pa.float64(): "float", pa.bool_(): "bool", pa.string(): "text"}


# What columns say that several files have.
PROMPT = 'The conversation up to the user\'s last turn, as a list of {"role", "content"}.'
ROUND = "Number of the round."
SPLIT = "train or held_out."


class Column(NamedTuple):
    """text: for whoever reads the file."""

    name: str
    type: pa.DataType
    text: str

    @property
    def kind(self) -> str:
        """The type as people say it: "int", "text", "list of int", "messages"."""
        return _named(self.type)


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    return pa.schema([(column.name, column.type) for column in columns])


def _named(of: pa.DataType) -> str:
    if pa.types.is_dictionary(of):
        return _named(of.value_type)
    if not pa.types.is_list(of):
        return _NAMES[of]
    inner = of.value_type
    if not pa.types.is_struct(inner):
        inside = _named(inner)
        return f"list of {inside.replace('list', 'lists', 1)}"
    return "messages" if {field.name for field in inner} == {"role", "content"} else "list"
