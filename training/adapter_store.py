"""The storage of adapters (`inference.adapter_store`), in the words of this app's errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.files import File

from annotate.errors import Conflict
from inference import adapter_store
from inference.adapter_store import Stored
from inference.errors import SwapRefused

__all__ = ["Stored", "local_folder", "opened", "store"]


def store(folder: Path) -> Stored:
    """Put an adapter, as the engine wrote it, into the storage; safe to run twice.

    Raises Conflict for a folder that is broken, OSError when the storage is full.
    """
    with _as_conflict():
        return adapter_store.store(folder)


def opened(content_hash: str, name: str) -> File[bytes]:
    """One of its files. Raises Conflict when the storage lost it."""
    with _as_conflict():
        return adapter_store.opened(content_hash, name)


def local_folder(content_hash: str) -> Path:
    """A folder of this machine with the adapter, checked against its hashes.

    Raises Conflict when the storage lost it or something in it changed, OSError when it cannot be
    copied here.
    """
    with _as_conflict():
        return adapter_store.fetched(content_hash).folder


@contextmanager
def _as_conflict() -> Iterator[None]:
    try:
        yield
    except SwapRefused as problem:
        raise Conflict(problem.summary) from problem
