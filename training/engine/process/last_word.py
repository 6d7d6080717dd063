"""Room for the last word: a few kB that a run keeps free for result.json, also on a full disk."""

import os
from pathlib import Path

from training.engine.whole import write_whole

SIZE = 8192  # bytes


def keep_room(reserve: Path) -> None:
    """Fill the file that `say` writes over when nothing else can be written.

    Raises OSError when there is no room even for that.
    """
    if reserve.exists() and reserve.stat().st_size >= SIZE:
        return
    try:
        _put(reserve, b" " * SIZE, "wb")
    except OSError:
        reserve.unlink(missing_ok=True)
        raise


def say(place: Path, text: str, reserve: Path) -> None:
    """Write the file whole, or on a full disk over the reserve, which then becomes the file.

    Where there is no reserve any more it is written over what an earlier run said, which is not its
    word. text: at most SIZE bytes. Raises OSError when not even that can be done.
    """
    try:
        write_whole(place, text)
    except OSError:
        room = reserve if reserve.exists() else place
        if not room.exists():
            raise
        _put(room, text.encode(), "r+b")
        room.replace(place)


def _put(place: Path, content: bytes, mode: str) -> None:
    with place.open(mode) as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
