"""The end of what a run's process said, fit to be shown: bounded, and without passwords."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from annotate.environment import without_secrets

TAIL = 64 * 1024  # bytes
LOG_LIMIT = 10 * 1024 * 1024  # bytes; the older half is dropped


def tail(log: Path, environment: Mapping[str, str] = os.environ) -> str:
    """The last lines, at most TAIL bytes; "" without a file.

    environment: values of its variables that are named like a secret are not shown.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            content = file.read()
    except FileNotFoundError:
        return ""
    if size > TAIL:
        content = content[content.find(b"\n") + 1 :]
    # PostgreSQL's texts have no NUL. A bar on a terminal overwrites its line.
    text = content.decode(errors="replace").replace("\0", "").replace("\r\n", "\n")
    lines = (line.rpartition("\r")[2] for line in text.split("\n"))
    return without_secrets("\n".join(lines), environment)


def last_line(text: str, limit: int = 200) -> str:
    """The last line that says something, shortened to `limit` characters."""
    for line in reversed(text.splitlines()):
        if len(line.strip()) > 2:
            return line.strip()[:limit]
    return ""


def bound(log: Path) -> None:
    """Drop the older half of a log that became too long; its writer appends and goes on."""
    if not log.exists() or log.stat().st_size <= LOG_LIMIT:
        return
    kept = log.with_suffix(".kept")
    with log.open("rb") as file, kept.open("wb") as half:
        file.seek(-LOG_LIMIT // 2, os.SEEK_END)
        shutil.copyfileobj(file, half)
    # Not replaced: the writer has this very file open.
    with kept.open("rb") as half, log.open("r+b") as file:
        file.truncate(0)
        shutil.copyfileobj(half, file)
    kept.unlink()
