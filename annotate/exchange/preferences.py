"""Comparisons as TRL's conversational preference format with explicit prompt."""

from collections.abc import Iterable, Iterator

from annotate.exchange.groups import TaskGroup


def jsonl_preferences(groups: Iterable[TaskGroup]) -> Iterator[bytes]:
    raise NotImplementedError


def parquet_preferences(groups: Iterable[TaskGroup]) -> Iterator[bytes]:
    raise NotImplementedError
