"""The storage of adapters: a folder for each content, named by its hash."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import orjson
from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage, storages

from annotate.errors import Conflict
from inference.adapter_files import CARD, AdapterFiles, read_adapter
from inference.errors import SwapRefused


@dataclass(frozen=True, slots=True)
class Stored:
    """An adapter in the storage. content_hash: 64 hex digits. bytes: of all its files."""

    content_hash: str
    bytes: int


def store(folder: Path) -> Stored:
    """Put an adapter, as the engine wrote it, into the storage; safe to run twice.

    The card comes last: where it is, all files are. Raises Conflict for a folder that is broken,
    OSError when the storage is full.
    """
    files = _checked(folder)
    storage = storages["adapters"]
    names = [*files.card["files"], CARD]
    if not storage.exists(_place(files.content_hash, CARD)):
        for name in names:
            _put(storage, folder / name, _place(files.content_hash, name))
    return Stored(files.content_hash, sum((folder / name).stat().st_size for name in names))


def names_of(content_hash: str) -> list[str]:
    """The files of a stored adapter. Raises Conflict when the storage lost it."""
    folder = local_folder(content_hash)
    return [*_checked(folder).card["files"], CARD]


def opened(content_hash: str, name: str) -> File[bytes]:
    """One of its files. Raises Conflict when the storage lost it."""
    try:
        return storages["adapters"].open(_place(content_hash, name))
    except FileNotFoundError:
        raise _lost(content_hash) from None


def local_folder(content_hash: str) -> Path:
    """A folder of this machine with the adapter, checked against its hashes.

    Raises Conflict when the storage lost it or something in it changed, OSError when it cannot be
    copied here.
    """
    storage = storages["adapters"]
    if isinstance(storage, FileSystemStorage):
        folder = Path(storage.path(content_hash))
        if not (folder / CARD).is_file():
            raise _lost(content_hash)
    else:
        folder = Path(settings.ADAPTER_COPIES) / content_hash
        if not (folder / CARD).is_file():
            _fetch(storage, content_hash, folder)
    if _checked(folder).content_hash != content_hash:
        raise _lost(content_hash)
    return folder


def _fetch(storage: Storage, content_hash: str, folder: Path) -> None:
    """Copy the adapter here, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".draft."))
    try:
        _copy(storage, content_hash, CARD, draft)
        for name in orjson.loads((draft / CARD).read_bytes())["files"]:
            _copy(storage, content_hash, name, draft)
        draft.chmod(0o755)
        try:
            draft.rename(folder)
        except OSError:
            if not folder.exists():  # another process brought the same one
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _copy(storage: Storage, content_hash: str, name: str, draft: Path) -> None:
    try:
        with storage.open(_place(content_hash, name)) as source, (draft / name).open("wb") as copy:
            shutil.copyfileobj(source, copy)
    except FileNotFoundError:
        raise _lost(content_hash) from None


def _put(storage: Storage, source: Path, place: str) -> None:
    storage.delete(place)  # half of it, of a job that was killed
    with source.open("rb") as file:
        name = storage.save(place, File(file))
    if name != place:  # another job stores the same content just now
        storage.delete(name)


def _place(content_hash: str, name: str) -> str:
    return f"{content_hash}/{name}"


def _checked(folder: Path) -> AdapterFiles:
    try:
        return read_adapter(folder)
    except SwapRefused as problem:
        raise Conflict(problem.summary) from problem


def _lost(content_hash: str) -> Conflict:
    return Conflict(
        f"The adapter {content_hash[:16]} is not in the storage any more, or was changed there. "
        "Bring its files back from a backup, or train it again."
    )
