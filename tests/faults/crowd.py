"""Labelers who go on whatever happens, and remember what was acknowledged."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx

from tests.faults.breaking import wait
from tests.faults.people import Labeler

NAMES = ("first", "second")
PACE_S = 0.5  # of one labeler, so that the tasks last


class Noting(Labeler):
    """Counts the answers by their status; a broken connection is 0."""

    def __init__(self, url: str, username: str, crowd: "Crowd") -> None:
        super().__init__(url, username)
        self._crowd = crowd

    def post(self, path: str, body: Any) -> httpx.Response:
        status = 0
        self._crowd.busy[self._username] = time.monotonic()
        try:
            reply = super().post(path, body)
            status = reply.status_code
            return reply
        finally:
            self._crowd.statuses[status] += 1
            del self._crowd.busy[self._username]


class Crowd:
    """receipts: ids of acknowledged rankings. statuses: of all answers."""

    def __init__(self, url: str) -> None:
        self.receipts: list[int] = []
        self.statuses: Counter[int] = Counter()
        self._url = url
        self.busy: dict[str, float] = {}  # since when each waits for an answer
        self._over = threading.Event()
        self._working: list[Future[None]] = []

    def label(self, name: str) -> None:
        with Noting(self._url, name, self) as labeler:
            while not self._over.is_set():
                claim = labeler.take([])
                assert claim is not None, "there are too few tasks for this machine"
                self.receipts.append(labeler.rank(claim).json()["id"])
                self._over.wait(PACE_S)

    def more(self, what: str, count: int = 4) -> None:
        """Until so many more are acknowledged; raises what ended a labeler."""
        before = len(self.receipts)

        def came() -> bool:
            for one in self._working:
                if one.done():
                    one.result()
            return len(self.receipts) >= before + count

        wait(f"labelers to go on: {what}", came)

    def all_wait(self) -> bool:
        """Whether nobody has had an answer for a second."""
        since = list(self.busy.values())
        return len(since) == len(NAMES) and max(since) < time.monotonic() - 1.0

    def go_home(self) -> None:
        """After what they are at."""
        self._over.set()
        for one in self._working:
            one.result()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with ThreadPoolExecutor(len(NAMES)) as threads:
            self._working = [threads.submit(self.label, name) for name in NAMES]
            try:
                yield
            finally:
                self._over.set()
