"""What can be exported, in which formats: the one table that API and pages read."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from annotate.exchange import preferences, rankings
from annotate.exchange.columns import Column
from annotate.exchange.groups import TaskGroup

Write = Callable[[Iterable[TaskGroup]], Iterator[bytes]]
CONTENT_TYPES = {"jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet"}


@dataclass(frozen=True, slots=True)
class Exporter:
    """columns: of the file, whatever its format. writers: by format, a key of CONTENT_TYPES."""

    columns: Sequence[Column]
    writers: Mapping[str, Write]


EXPORTERS: Mapping[str, Exporter] = {
    "comparisons": Exporter(
        preferences.COLUMNS,
        {
            "jsonl": preferences.jsonl_preferences,
            "parquet": preferences.parquet_preferences,
        },
    ),
    "rankings": Exporter(
        rankings.COLUMNS,
        {"jsonl": rankings.jsonl_rankings, "parquet": rankings.parquet_rankings},
    ),
}
