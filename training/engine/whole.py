"""Files and folders that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(place: Path, text: str) -> None:
    """Write beside the place and move there: a reader sees the old file or the new one.

    Raises OSError when nothing can be written there; what was there stays.
    """
    handle, draft = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # mkstemp lets nobody else read, and the server may run as another user.
        Path(draft).chmod(0o644)
        Path(draft).replace(place)
    finally:
        Path(draft).unlink(missing_ok=True)


@contextmanager
def whole_folder(destination: Path) -> Iterator[Path]:
    """Yields a draft folder beside `destination`, which takes its place when the block ends well.

    A folder that was there is replaced. Who is killed in between leaves the old one, the new one
    or none, never a half. Raises OSError when nothing can be written there.
    """
    destination = destination.absolute()
    destination.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}."))
    try:
        yield draft
        draft.chmod(0o755)
        move_whole(draft, destination)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def move_whole(draft: Path, destination: Path) -> None:
    """Move a finished folder to its place on the same file system; one that was there is replaced.

    Raises OSError when it cannot be moved there.
    """
    _reach_disk(draft)
    _take_place(draft, destination)
    _sync(destination.parent)


def _take_place(draft: Path, destination: Path) -> None:
    if not destination.exists():
        draft.rename(destination)
        return
    old = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}.old."))
    destination.rename(old)  # an empty folder gives way
    draft.rename(destination)
    shutil.rmtree(old)


def _reach_disk(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
