"""Where a request is worked on: for each kind of work a few threads, so that none takes another's.

Python runs one thread of a process at a time, and many that compete make every answer late, so
the rooms are small. What finds no place, and no place to wait either, is refused at once.
"""

import asyncio
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
KB = 1024
MB = 1024 * KB
SIGN_IN_PATHS = ("/api/session", "/admin/login/")


@dataclass(frozen=True, slots=True)
class Kind:
    """threads: of each process. waiting: beyond so many more requests it refuses.

    largest_body: bytes that are taken before anything is known about who asks; None: the view
    reads the body itself, once it knows. refusal: HTTP status when the room is full.
    gives_way: its threads run when the others have nothing to do.
    """

    name: str
    threads: int
    waiting: int
    largest_body: int | None = MB
    refusal: int = 503
    gives_way: bool = False


# A password's hash takes half a second of a core, by design.
SIGN_IN = Kind("sign-in", 1, 8, largest_body=16 * KB, refusal=429, gives_way=True)
LABELING = Kind("labeling", 3, 256)
# What needs no account: the pages with their files, the probe's address, the schema.
OPEN = Kind("open", 2, 128)
OTHER = Kind("other", 3, 128)
UPLOAD = Kind("upload", 2, 8, largest_body=None)
# Starts a process, which inherits its priority, and waits for it. There is one at a time anyway.
ESTIMATE = Kind("estimate", 1, 0, gives_way=True)
# Answers that are made while they go out; they leave the room of their request for this one.
DOWNLOAD = Kind("download", 4, 32)

_PROJECT = r"/api/projects/[^/]+"
# The first row that matches the method and the whole path decides.
_TABLE: tuple[tuple[str, str, Kind], ...] = (
    ("POST", "|".join(map(re.escape, SIGN_IN_PATHS)), SIGN_IN),
    ("", r"/api/(session|health|schema)", OPEN),
    ("", rf"/api/queues|/api/claims/.+|{_PROJECT}/claims", LABELING),
    ("", r"/api/rankings/(mine|\d+/undo|\d+/revisions)", LABELING),
    ("POST", rf"{_PROJECT}/prompts/import", UPLOAD),
    ("POST", rf"{_PROJECT}/runs/estimate", ESTIMATE),
    ("", r"/(api|admin)/.*", OTHER),
    ("", r".*", OPEN),
)
_ROWS = tuple((method, re.compile(path, re.DOTALL), kind) for method, path, kind in _TABLE)
KINDS = (SIGN_IN, LABELING, OPEN, OTHER, UPLOAD, ESTIMATE, DOWNLOAD)
GIVES_WAY_BY = 10  # as of the command `nice`


def kind_of(method: str, path: str) -> Kind:
    """The kind of work that a request asks for."""
    return next(
        kind
        for wanted, pattern, kind in _ROWS
        if wanted in ("", method) and pattern.fullmatch(path)
    )


class Full(Exception):
    """The room has no place to wait in."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(f"the room for {kind.name} is full")
        self.kind = kind


class Room:
    """The threads of one kind. They serve in the order of arrival."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._inside = 0
        self._threads = ThreadPoolExecutor(
            kind.threads, kind.name, initializer=_give_way if kind.gives_way else None
        )

    async def run(self, work: Callable[..., T], *args: object) -> T:
        """What the work returns. Raises Full at once when there is no place to wait."""
        if self._inside >= self.kind.threads + self.kind.waiting:
            raise Full(self.kind)
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        finally:
            self._inside -= 1


def _give_way() -> None:
    """On Linux a priority is a thread's own."""
    me = threading.get_native_id()
    before = os.getpriority(os.PRIO_PROCESS, me)
    os.setpriority(os.PRIO_PROCESS, me, min(19, before + GIVES_WAY_BY))
