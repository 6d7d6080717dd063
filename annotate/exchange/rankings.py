"""Raw rankings: one row a ranking, nothing derived."""

from collections.abc import Iterable, Iterator

from annotate.exchange.groups import TaskGroup


def jsonl_rankings(groups: Iterable[TaskGroup]) -> Iterator[bytes]:
    raise NotImplementedError


def parquet_rankings(groups: Iterable[TaskGroup]) -> Iterator[bytes]:
    raise NotImplementedError
