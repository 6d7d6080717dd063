"""What ended a run, in words: every exception as one that says what to change."""

import errno
import sqlite3
from collections.abc import Iterator

from training.engine.errors import DiskFull, EngineError, NotFinite, OutOfMemory, Passing

# Libraries raise RuntimeError for all of these; their words are what tells them apart.
_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "DefaultCPUAllocator",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
_DISK = ("No space left on device", "disk is full", "PytorchStreamWriter failed writing")
_NAN = ("probability tensor contains either `inf`, `nan`",)


def in_words(problem: BaseException) -> EngineError:
    """The failure as an EngineError; what caused it is looked through too."""
    for one in _chain(problem):
        if isinstance(one, EngineError):
            return one
    for one in _chain(problem):
        found = _known(one)
        if found is not None:
            return found
    what = f"{type(problem).__name__}: {_first_line(problem)}"
    if isinstance(problem, OSError):
        return Passing(f"The run failed on a file or on the network. {what}")
    return EngineError(f"The run failed in a way that Prefloop does not know. {what}")


def _known(problem: BaseException) -> EngineError | None:
    text = str(problem)
    if isinstance(problem, MemoryError) or _says(text, _MEMORY):
        where = "GPU" if "CUDA" in text or "CUBLAS" in text else "machine"
        return OutOfMemory(f"The {where} has not enough memory for this run.")
    if _is_disk_full(problem) or _says(text, _DISK):
        return DiskFull("The disk is full.")
    if _is_locked(problem):
        return Passing(
            "Another process keeps the file of reference log-probabilities (dpo.reference_cache) "
            "locked.",
            advice="Wait for that process to end, or name another file; then start the same "
            "command again.",
        )
    if isinstance(problem, FloatingPointError) or _says(text, _NAN):
        return NotFinite("The model's outputs are not finite numbers any more.")
    return None


def _is_disk_full(problem: BaseException) -> bool:
    if isinstance(problem, sqlite3.Error):
        return _sqlite_code(problem) == sqlite3.SQLITE_FULL
    return isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT)


def _is_locked(problem: BaseException) -> bool:
    codes = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return isinstance(problem, sqlite3.Error) and _sqlite_code(problem) in codes


def _sqlite_code(problem: sqlite3.Error) -> int:
    """Without the detail in its upper bits; 0 where sqlite gave none."""
    return int(getattr(problem, "sqlite_errorcode", 0)) & 0xFF


def _says(text: str, words: tuple[str, ...]) -> bool:
    return any(word.lower() in text.lower() for word in words)


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """The exception, and those it was raised from."""
    one: BaseException | None = problem
    while one is not None:
        yield one
        one = one.__cause__


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or ["no message"])[0]
