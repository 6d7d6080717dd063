"""The content of a snapshot's files: as stored, as Parquet, as rows to look at, all in one."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import orjson
from django.core.files.base import File
from django.core.files.storage import storages

from annotate.errors import Conflict, NotFound
from annotate.exchange.archive import stream_zip
from training.models import Snapshot
from training.snapshots.files import MANIFEST, SCHEMA
from training.snapshots.parquet import LINES, PARQUET, parquet_of
from training.snapshots.sides import HELD_OUT, TRAIN

PREVIEW_BYTES = 2_000_000
PIECE = 1 << 20


def opened(snapshot: Snapshot, name: str) -> File[bytes]:
    """One of its files. Raises NotFound for another name, Conflict when the storage lost it."""
    if not snapshot.manifest or name not in {*snapshot.manifest["files"], MANIFEST}:
        raise NotFound
    try:
        return storages["snapshots"].open(f"{snapshot.content_hash}/{name}")
    except FileNotFoundError:
        raise Conflict(
            "The file is not in the storage any more. Create the snapshot again."
        ) from None


def parquet_names(snapshot: Snapshot) -> list[str]:
    """The Parquet files to be had beside those of JSON lines."""
    names = (snapshot.manifest or {}).get("files", {})
    return [name.removesuffix(LINES) + PARQUET for name in names if name.endswith(LINES)]


def as_parquet(snapshot: Snapshot, name: str) -> Iterator[bytes]:
    """`train/rankings.parquet`, made of `train/rankings.jsonl`. Raises like `opened`, at once."""
    file = opened(snapshot, name.removesuffix(PARQUET) + LINES)
    return parquet_of(PurePosixPath(name).stem, _lines(file))


def first_rows(snapshot: Snapshot, *, side: str, kind: str, limit: int) -> dict[str, Any]:
    """The first rows of a file, 2 MB of them at most, and whether there are more.

    A side or kind that the snapshot has nothing of has no rows. Raises NotFound for one that no
    snapshot has, or while it is not ready.
    """
    if snapshot.manifest is None or side not in (TRAIN, HELD_OUT) or kind not in SCHEMA:
        raise NotFound
    name = f"{side}/{kind}{LINES}"
    rows: list[Any] = []
    if name not in snapshot.manifest["files"]:
        return {"rows": rows, "more": False}
    size = 0
    with opened(snapshot, name) as file:
        while line := file.readline():
            size += len(line)
            if len(rows) >= limit or size > PREVIEW_BYTES:
                return {"rows": rows, "more": True}
            rows.append(orjson.loads(line))
    return {"rows": rows, "more": False}


def archive(snapshot: Snapshot, folder: str) -> Iterator[bytes]:
    """All of it as a zip file with one folder in it, the Parquet files too.

    Raises like `opened` before the first byte when the storage lost the manifest.
    """
    opened(snapshot, MANIFEST).close()
    assert snapshot.manifest is not None  # noqa: S101  (or there is no such file)
    stored = [*snapshot.manifest["files"], MANIFEST]
    files = [(name, _pieces(snapshot, name)) for name in stored]
    files += [(name, _parquet(snapshot, name)) for name in parquet_names(snapshot)]
    return stream_zip((f"{folder}/{name}", pieces) for name, pieces in files)


def load_lines(snapshot: Snapshot, folder: str) -> list[str]:
    """How to read the unpacked archive with the library datasets: a line of Python a kind."""
    names = (snapshot.manifest or {}).get("files", {})
    kinds = sorted({PurePosixPath(name).stem for name in names if name.endswith(LINES)})
    return [f'load_dataset("{folder}", "{kind}")' for kind in reversed(kinds)]


def _pieces(snapshot: Snapshot, name: str) -> Iterator[bytes]:
    with opened(snapshot, name) as file:
        yield from file.chunks(PIECE)


def _parquet(snapshot: Snapshot, name: str) -> Iterator[bytes]:
    yield from as_parquet(snapshot, name)


def _lines(file: File[bytes]) -> Iterator[bytes]:
    with file:
        while line := file.readline():
            yield line
