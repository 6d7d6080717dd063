"""Data files by name: where they lie, what they are made of, their hash."""

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from training.engine.errors import DataError

_CHUNK = 1 << 20
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
# What people send by mistake, by its first bytes.
_OTHERS = {
    b"PK\x03\x04": "a zip archive; unpack it",
    b"\xfd7zXZ": "compressed with xz; unpack it, or compress it with gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it, or compress it with gzip",
    b"\xff\xfe": "encoded as UTF-16; save it as UTF-8",
    b"\xfe\xff": "encoded as UTF-16; save it as UTF-8",
}
BROKEN_ARCHIVE = (EOFError, gzip.BadGzipFile, zlib.error)


def located(names: Iterable[str]) -> list[Path]:
    """Paths of data files. Raises DataError for one that is not there."""
    paths = [Path(name) for name in names]
    for path in paths:
        if not path.is_file():
            what = "is a folder, not a file" if path.is_dir() else "is not there"
            raise DataError(f"The data file {path} {what}.", advice="Correct its path in the spec.")
    return paths


def labels(paths: Sequence[Path]) -> list[str]:
    """What each file is called in messages: its name, or its path where names are the same."""
    names = [path.name for path in paths]
    return [
        name if names.count(name) == 1 else str(path)
        for name, path in zip(names, paths, strict=True)
    ]


def is_parquet(path: Path) -> bool:
    """By the first bytes; a suffix may be wrong. Raises DataError for what is no data file."""
    start = _start(path)
    if start.startswith(_PARQUET):
        return True
    if path.suffix == ".parquet":
        raise DataError(f"{path} is not a Parquet file, although it is called so.")
    for mark, what in _OTHERS.items():
        if start.startswith(mark):
            raise DataError(f"{path} is {what}.", advice="Give JSONL, JSONL.gz or Parquet.")
    return False


def open_bytes(path: Path) -> IO[bytes] | gzip.GzipFile:
    """The file's bytes, unpacked if it is a gzip file. Raises DataError."""
    try:
        if _start(path).startswith(_GZIP):
            return gzip.open(path, "rb")
        return path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"The data file {path} cannot be read: {error}.",
        advice="Check its permissions, or write it again.",
    )


def digest(content: bytes) -> bytes:
    """A short name for content, equal for equal content only."""
    return hashlib.blake2b(content, digest_size=16).digest()


def content_hash(parts: Iterable[tuple[str, Sequence[Path]]], settings: str) -> str:
    """sha256 over the bytes of files in their order, their roles, and the settings that matter."""
    whole = hashlib.sha256(settings.encode())
    for role, paths in parts:
        whole.update(f"\0{role}\0{len(paths)}\0".encode())
        for path in paths:
            whole.update(_file_digest(path))
    return whole.hexdigest()


def _file_digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise unreadable(path, error) from error


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise unreadable(path, error) from error


def chunks(path: Path) -> Iterator[bytes]:
    """The file's bytes, unpacked, in pieces. Raises DataError."""
    with open_bytes(path) as file:
        try:
            while chunk := file.read(_CHUNK):
                yield chunk
        except (OSError, *BROKEN_ARCHIVE) as error:
            raise unreadable(path, error) from error
