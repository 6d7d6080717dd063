"""Half of an export is never taken for all of it."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import datasets
import pytest

from annotate.exchange.groups import TaskGroup
from annotate.exchange.preferences import jsonl_preferences, parquet_preferences
from annotate.exchange.rankings import jsonl_rankings, parquet_rankings
from tests.exchange.sample import many

Export = Callable[[Iterable[TaskGroup]], Iterator[bytes]]


def interrupted() -> Iterator[TaskGroup]:
    yield from many(300)
    raise ConnectionError("the database went away")


def received(export: Export) -> bytes:
    """What a client has when the database goes away."""
    chunks: list[bytes] = []
    with contextlib.suppress(ConnectionError):
        for chunk in export(interrupted()):
            chunks.append(chunk)
    return b"".join(chunks)


@pytest.mark.parametrize(
    ("export", "format"),
    [
        (jsonl_preferences, "json"),
        (jsonl_rankings, "json"),
        (parquet_preferences, "parquet"),
        (parquet_rankings, "parquet"),
    ],
)
def test_no_reader_accepts_what_broke_off(export: Export, format: str, tmp_path: Path) -> None:
    file = tmp_path / "part"
    file.write_bytes(received(export))

    with pytest.raises(Exception, match=r"generating the dataset|Parquet"):
        datasets.load_dataset(format, data_files=str(file), cache_dir=str(tmp_path))


@pytest.mark.parametrize("export", [jsonl_preferences, jsonl_rankings])
def test_the_file_says_that_it_broke_off(export: Export) -> None:
    assert received(export).endswith(b"it is incomplete. Export it again.\n")


@pytest.mark.parametrize("export", [jsonl_preferences, parquet_preferences])
def test_the_server_learns_of_the_error(export: Export) -> None:
    with pytest.raises(ConnectionError):
        list(export(interrupted()))


@pytest.mark.parametrize("export", [jsonl_preferences, parquet_preferences])
def test_a_reader_who_leaves_ends_the_export(export: Export) -> None:
    chunks = export(many(10_000))
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
