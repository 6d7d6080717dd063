"""The storage of adapters: a folder for each content, named by its hash.

Whoever needs an adapter asks for its hash; where its files lie on a machine is nobody's knowledge,
and copies of them can be lost.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import orjson
from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage, storages

from inference.adapter_files import CARD, AdapterFiles, read_adapter
from inference.errors import SwapRefused


@dataclass(frozen=True, slots=True)
class Stored:
    """An adapter in the storage. content_hash: 64 hex digits. bytes: of all its files."""

    content_hash: str
    bytes: int


def store(folder: Path) -> Stored:
    """Put an adapter, as the engine wrote it, into the storage; safe to run twice.

    The card comes last: where it is, all files are. Raises SwapRefused for a folder that is
    broken, OSError when the storage is full.
    """
    files = read_adapter(folder)
    storage = storages["adapters"]
    names = [*files.card["files"], CARD]
    if not storage.exists(_place(files.content_hash, CARD)):
        for name in names:
            _put(storage, folder / name, _place(files.content_hash, name))
    return Stored(files.content_hash, sum((folder / name).stat().st_size for name in names))


def opened(content_hash: str, name: str) -> File[bytes]:
    """One of its files. Raises SwapRefused when the storage lost it."""
    try:
        return storages["adapters"].open(_place(content_hash, name))
    except FileNotFoundError:
        raise _lost(content_hash) from None


def fetched(content_hash: str) -> AdapterFiles:
    """The adapter in a folder of this machine, checked against its hashes.

    Raises SwapRefused when the storage lost it or something in it changed, OSError when it cannot
    be copied here.
    """
    storage = storages["adapters"]
    if isinstance(storage, FileSystemStorage):
        folder = Path(storage.path(content_hash))
        if not (folder / CARD).is_file():
            raise _lost(content_hash)
    else:
        folder = Path(settings.ADAPTER_COPIES) / content_hash
        if not _is_whole(folder, content_hash):  # a copy can be lost, in part too
            shutil.rmtree(folder, ignore_errors=True)
            _fetch(storage, content_hash, folder)
    files = read_adapter(folder)
    if files.content_hash != content_hash:
        raise _lost(content_hash)
    return files


def _is_whole(folder: Path, content_hash: str) -> bool:
    try:
        return read_adapter(folder).content_hash == content_hash
    except SwapRefused:
        return False


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


def _lost(content_hash: str) -> SwapRefused:
    return SwapRefused(
        f"The adapter {content_hash[:16]} is not in the storage any more, or was changed there. "
        "Bring its files back from a backup, or train it again.",
        permanent=True,
    )
