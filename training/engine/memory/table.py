"""A table of memory as text, in the manner of `accelerate estimate-memory`."""

from collections.abc import Sequence

UNITS = ("B", "KB", "MB", "GB", "TB")
STEP = 1024


def as_table(lines: Sequence[tuple[str, int, str]]) -> str:
    """lines: what, bytes, a note."""
    cells = [("part", "memory", ""), *((what, readable(size), note) for what, size, note in lines)]
    first, second = (max(len(line[column]) for line in cells) for column in (0, 1))
    written = [f"{what:<{first}}  {size:>{second}}  {note}".rstrip() for what, size, note in cells]
    return "\n".join([written[0], "-" * len(written[0]), *written[1:]]) + "\n"


def readable(size: float) -> str:
    """1536 -> "1.5 KB"; units of 1024, as GPUs are sold."""
    for unit in UNITS[:-1]:
        if abs(size) < STEP:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= STEP
    return f"{size:.1f} {UNITS[-1]}"
