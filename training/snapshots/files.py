"""A snapshot's folder in the making, and its manifest.

`snapshot.json` names every other file with its sha256; its own sha256 is the snapshot's content
hash. So the hash covers everything, and anybody can check it.
"""

import hashlib
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import orjson

from training.engine.spec import Method
from training.snapshots.methods import data_of
from training.snapshots.rows import DEMONSTRATION_COLUMNS, RANKING_COLUMNS
from training.snapshots.spec import SnapshotSpec

VERSION = 3
MANIFEST, CARD = "snapshot.json", "README.md"
_INDENTED = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
SCHEMA = {"rankings": RANKING_COLUMNS, "demonstrations": DEMONSTRATION_COLUMNS}


class LineFiles:
    """Files of JSON lines in a folder, each made when its first line comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def write(self, side: str, kind: str, lines: Iterable[bytes]) -> None:
        """Add lines to `<side>/<kind>.jsonl`."""
        for line in lines:
            self._file(f"{side}/{kind}.jsonl").write(line)

    def _file(self, name: str) -> IO[bytes]:
        if name not in self._files:
            path = self._folder / name
            path.parent.mkdir(exist_ok=True)
            self._files[name] = self._open.enter_context(path.open("wb"))
        return self._files[name]


def write_manifest(
    folder: Path, project: str, spec: SnapshotSpec, counts: dict[str, Any]
) -> dict[str, Any]:
    """Describe the files of the folder in `snapshot.json`, and return what it says."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    manifest = {
        "version": VERSION,
        "project": project,
        "spec": spec.as_dict(),
        "counts": counts,
        "schema": SCHEMA,
        "methods": {str(method): data_of(method, names) for method in Method},
        "files": {name: _described(folder / name) for name in names},
    }
    (folder / MANIFEST).write_bytes(orjson.dumps(manifest, option=_INDENTED))
    return manifest


def content_hash(folder: Path) -> str:
    """The snapshot's hash, 64 hex digits."""
    return _digest(folder / MANIFEST)


def _described(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": _digest(path)}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
