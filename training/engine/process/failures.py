"""What ended a run, in words: every exception as one that says what to change.

Libraries raise RuntimeError, ValueError or Exception for most of what goes wrong: their words, or
where it was raised, are what tells one from another.
"""

import errno
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from safetensors import SafetensorError

from training.engine.errors import (
    DataError,
    DiskFull,
    EngineError,
    NotFinite,
    OutOfMemory,
    Passing,
    SpecError,
)

_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "DefaultCPUAllocator",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
_DISK = (
    "No space left on device",
    "disk is full",
    "PytorchStreamWriter failed writing",
    # The end of a checkpoint whose beginning could not be written.
    ". unexpected pos ",
)
_NAN = ("probability tensor contains either `inf`, `nan`",)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def in_words(problem: BaseException) -> EngineError:
    """The failure as an EngineError; what caused it is looked through too."""
    for one in _chain(problem):
        if isinstance(one, EngineError):
            return one
    for one in _chain(problem):
        if kind := next((kind for kind in _KINDS if kind.holds(one)), None):
            return kind.words(one)
    what = _what(problem)
    if isinstance(problem, OSError):
        return Passing(f"The run failed on a file or on the network. {what}")
    return EngineError(f"The run failed in a way that Prefloop does not know. {what}")


@dataclass(frozen=True, slots=True)
class _Kind:
    """holds: whether an exception is of this kind. words: what a person is told of it."""

    holds: Callable[[BaseException], bool]
    words: Callable[[BaseException], EngineError]


def _is_memory(problem: BaseException) -> bool:
    return isinstance(problem, MemoryError) or _says(problem, _MEMORY)


def _memory(problem: BaseException) -> EngineError:
    where = "GPU" if any(mark in str(problem) for mark in ("CUDA", "CUBLAS")) else "machine"
    return OutOfMemory(f"The {where} has not enough memory for this run.")


def _is_disk_full(problem: BaseException) -> bool:
    if isinstance(problem, sqlite3.Error):
        return _sqlite_code(problem) == sqlite3.SQLITE_FULL
    full = isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or _says(problem, _DISK)


def _is_locked(problem: BaseException) -> bool:
    return isinstance(problem, sqlite3.Error) and _sqlite_code(problem) in _LOCKED


def _locked(problem: BaseException) -> EngineError:
    return Passing(
        "Another process keeps the file of reference log-probabilities (dpo.reference_cache) "
        "locked.",
        advice="Wait for that process to end, or name another file; then start the same command "
        "again.",
    )


def _not_a_cache(problem: BaseException) -> EngineError:
    return SpecError(
        "The file of reference log-probabilities (dpo.reference_cache) is none, or was damaged: "
        f"{_first_line(problem).rstrip('.')}.",
        advice="Delete it, or name another file; it is made anew. Then start the same command "
        "again.",
    )


def _damaged_weights(problem: BaseException) -> EngineError:
    return DataError(
        f"A file of weights (safetensors) is damaged or was cut off: {_first_line(problem)}",
        advice="Fetch or copy the model (base.model) and the adapters again, then start the run "
        "again.",
    )


def _not_adapted(problem: BaseException) -> EngineError:
    return SpecError(
        f"PEFT, which adds the adapter, does not take this base and these settings: "
        f"{_first_line(problem)}",
        advice="Choose other layers in lora.targets, or another base.",
    )


def _bad_tokenizer(problem: BaseException) -> EngineError:
    return SpecError(
        f"The tokenizer of base.model cannot be used: {_first_line(problem)}",
        advice="Fetch or copy the model again; its tokenizer.json may be damaged, or written by a "
        "newer version.",
    )


def _raised_in(*packages: str) -> Callable[[BaseException], bool]:
    """Whether a ValueError, TypeError or bare Exception came out of one of these packages."""

    def holds(problem: BaseException) -> bool:
        plain = isinstance(problem, ValueError | TypeError) or type(problem) is Exception
        return plain and any(name in packages for name in _last_packages(problem))

    return holds


# The first that holds.
_KINDS = (
    _Kind(_is_memory, _memory),
    _Kind(_is_disk_full, lambda _: DiskFull("The disk is full.")),
    _Kind(_is_locked, _locked),
    _Kind(lambda one: isinstance(one, sqlite3.Error), _not_a_cache),
    _Kind(lambda one: isinstance(one, SafetensorError), _damaged_weights),
    _Kind(
        lambda one: isinstance(one, FloatingPointError) or _says(one, _NAN),
        lambda _: NotFinite("The model's outputs are not finite numbers any more."),
    ),
    _Kind(_raised_in("peft"), _not_adapted),
    _Kind(_raised_in("tokenizers", "transformers.tokenization_utils_tokenizers"), _bad_tokenizer),
)


def _last_packages(problem: BaseException) -> set[str]:
    """The package and the module in whose code it was raised."""
    trace: TracebackType | None = problem.__traceback__
    name = ""
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return {name, name.partition(".")[0]}


def _sqlite_code(problem: sqlite3.Error) -> int:
    """Without the detail in its upper bits; 0 where sqlite gave none."""
    return int(getattr(problem, "sqlite_errorcode", 0)) & 0xFF


def _says(problem: BaseException, words: tuple[str, ...]) -> bool:
    text = str(problem).lower()
    return any(word.lower() in text for word in words)


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """The exception, and those it was raised from."""
    one: BaseException | None = problem
    while one is not None:
        yield one
        one = one.__cause__


def _what(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {_first_line(problem)}"


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or ["no message"])[0]
