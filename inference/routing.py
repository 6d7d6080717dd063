"""Chooses a replica for each request: the least busy that serves the name, another if it fails."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from inference.client import ReplicaClient
from inference.completions import CompletionRequest, CompletionResult, Endpoint, Messages, Sampling
from inference.errors import REPLICA_AT_FAULT, InferenceError, NoReplica

log = logging.getLogger(__name__)

# A replica that went away is left alone for a while: having nothing to do, it would draw every
# request.
REST_S = 5.0


@dataclass(slots=True, eq=False)
class _Lane:
    """A replica in use. in_flight counts completions (a request for n counts n)."""

    endpoint: Endpoint
    client: ReplicaClient
    in_flight: int = 0
    resting_until: float = 0.0
    retired: bool = False

    def serves(self, model: str) -> bool:
        return not self.retired and model in self.endpoint.models


class Pool:
    """Replicas that may be used now. One per event loop; an async context manager.

    concurrency: completions in flight on one replica at most; a larger single request goes alone.
    deadline_s: of one request to one replica; by default it grows with max_tokens.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        *,
        api_key: str = "",
        concurrency: int = 32,
        deadline_s: float | None = None,
    ) -> None:
        self._api_key = api_key
        self._concurrency = concurrency
        self._deadline_s = deadline_s
        self._lanes: dict[str, _Lane] = {}
        self._changed = asyncio.Condition()
        self._first = tuple(endpoints)

    async def __aenter__(self) -> Self:
        await self.refresh(self._first)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        async with AsyncExitStack() as stack:
            for lane in self._lanes.values():
                stack.push_async_callback(lane.client.close)

    @property
    def in_flight(self) -> int:
        """Completions being written now, over all replicas."""
        return sum(lane.in_flight for lane in self._lanes.values())

    async def refresh(self, endpoints: Iterable[Endpoint]) -> None:
        """Use these replicas from now on. Requests under way on others end undisturbed."""
        wanted = {endpoint.url: endpoint for endpoint in endpoints}
        for url, endpoint in wanted.items():
            if lane := self._lanes.get(url):
                lane.endpoint = lane.client.endpoint = endpoint
                lane.retired = False
            else:
                client = ReplicaClient(endpoint, api_key=self._api_key)
                self._lanes[url] = _Lane(endpoint, client)
        for url, lane in list(self._lanes.items()):
            lane.retired = url not in wanted
            await self._close_if_done(lane)
        async with self._changed:
            self._changed.notify_all()

    async def complete(
        self, model: str, messages: Messages, sampling: Sampling, n: int = 1
    ) -> list[CompletionResult]:
        """`n` completions by the served name `model`.

        Waits for a free place. A retriable error is tried on every other replica that serves the
        name before it is raised. Raises InferenceError; NoReplica when none may be used now.
        """
        request = CompletionRequest(model, messages, sampling, n, deadline_s=self._deadline_s)
        tried: set[str] = set()
        failure: InferenceError | None = None
        while True:
            try:
                async with self._place(model, n, tried) as lane:
                    return await self._attempt(lane, request)
            except NoReplica:
                raise (failure or NoReplica(model)) from failure
            except _Failed as failed:
                tried.add(failed.url)
                failure = failed.error

    async def tokenize(self, model: str, messages: Messages) -> int:
        """Number of tokens of a conversation after the chat template. Raises like `complete`."""
        lane = self._least_busy(model, 0, frozenset())
        if lane is None:
            raise NoReplica(model)
        served = lane.endpoint.answers_as.get(model, model)
        return len((await lane.client.tokenize(served, messages)).ids)

    async def _attempt(self, lane: _Lane, request: CompletionRequest) -> list[CompletionResult]:
        served = lane.endpoint.answers_as.get(request.model, request.model)
        try:
            return await lane.client.complete(replace(request, model=served))
        except InferenceError as error:
            at_fault = error.code in REPLICA_AT_FAULT
            if error.permanent and not at_fault:
                raise
            log.warning("%s", error)
            if at_fault:  # until the next check of the replicas tells what it serves
                lane.endpoint = _without(lane.endpoint, request.model)
            elif error.replica_is_away:
                lane.resting_until = time.monotonic() + REST_S
            gone = error.code == "unknown_model"
            raise _Failed(lane.endpoint.url, NoReplica(request.model) if gone else error) from error

    @asynccontextmanager
    async def _place(self, model: str, n: int, tried: set[str]) -> AsyncIterator[_Lane]:
        """Holds room for n completions on the least busy replica. Raises NoReplica."""
        async with self._changed:
            while (lane := self._least_busy(model, n, tried)) is None:
                await self._changed.wait()
            lane.in_flight += n
        try:
            yield lane
        finally:
            lane.in_flight -= n
            async with self._changed:
                self._changed.notify_all()
            await self._close_if_done(lane)

    def _least_busy(self, model: str, n: int, tried: Iterable[str]) -> _Lane | None:
        """None: all are full, wait. Raises NoReplica when waiting would not help."""
        now = time.monotonic()
        usable = [
            lane
            for lane in self._lanes.values()
            if lane.serves(model) and lane.endpoint.url not in tried and lane.resting_until <= now
        ]
        if not usable:
            raise NoReplica(model)
        free = [
            lane
            for lane in usable
            if lane.in_flight == 0 or lane.in_flight + n <= self._concurrency
        ]
        return min(free, key=lambda lane: lane.in_flight, default=None)

    async def _close_if_done(self, lane: _Lane) -> None:
        if lane.retired and lane.in_flight == 0 and lane.endpoint.url in self._lanes:
            del self._lanes[lane.endpoint.url]
            await lane.client.close()


class _Failed(Exception):
    """An attempt that another replica may make good."""

    def __init__(self, url: str, error: InferenceError) -> None:
        super().__init__(url)
        self.url = url
        self.error = error


def _without(endpoint: Endpoint, model: str) -> Endpoint:
    return replace(endpoint, models=endpoint.models - {model})
