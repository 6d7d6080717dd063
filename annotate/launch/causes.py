"""Why a process ended, in one line that says what to do."""

import re
import signal
from pathlib import Path

TAIL = 64 * 1024  # bytes of the log that are looked at

# The first that matches explains the rest of the log.
KNOWN = [
    (r"No space left on device", "the disk is full: free some space"),
    # Not where vLLM quotes it to warn of a low limit.
    (
        r"(?<!`OSError: \[Errno 24\] )Too many open files",
        "too many files are open: raise the limit with `ulimit -n 65536`",
    ),
    (
        r"(\S+\.so\S*): cannot open shared object file",
        "the system library {0} is missing: install it with the system's package manager",
    ),
    (
        r"No module named '((?!annotate|inference|training)[^']+)'",
        "the Python package {0} is missing: remove the folder .venv and run `make run` again",
    ),
    (
        r"No working C\+\+ compiler",
        "a C++ compiler is missing: install g++",
    ),
    (r"Address already in use", "its address is taken by another program: stop that one"),
    (
        r"(?:Cannot|cannot|can't) allocate memory|MemoryError|CUDA out of memory",
        "there is not enough memory: close other programs, or set a smaller INFERENCE_CACHE_GB",
    ),
    (r"EngineDeadError|Engine core .* died", "its engine was ended from outside or crashed"),
    (
        r"pre-existing shared memory block .* is still in use",
        "the server before it is still ending",
    ),
]


def explain(code: int, log: Path, start: int = 0) -> str:
    """Say why a process ended.

    code: its exit status, negative for a signal; log: its output, from byte `start` on.
    """
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    text = tail(log, start)
    for pattern, advice in KNOWN:
        if found := re.search(pattern, text):
            return f"{how}: {advice.format(*found.groups())} (log: {log})"
    if code == -signal.SIGKILL:
        return f"{how}, from outside or for lack of memory (log: {log})"
    last = last_line(text)
    return f"{how}: {last} (log: {log})" if last else f"{how} (log: {log})"


def tail(log: Path, start: int = 0) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(start if start <= size else 0, size - TAIL))
        return file.read().decode(errors="replace")


def last_line(text: str, limit: int = 160) -> str:
    """The last line that says something, shortened to `limit` characters."""
    for line in reversed(text.splitlines()):
        if len(line.strip()) > 2:
            return line.strip()[:limit]
    return ""
