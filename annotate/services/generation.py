"""Writing a round's completions: ahead of the labelers, bounded, and safe to interrupt anywhere.

One writer a round: a PostgreSQL advisory lock, held by the job's only connection, keeps a second
one out and vanishes with the process. What is missing is always read from the database, and a
unique constraint refuses a second completion for the same place, so a job that is killed and run
again costs nothing but time.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from django.conf import settings
from django.db import connections

from annotate.services import generation_store as store
from annotate.services import generation_turns as turns
from annotate.services.generation_store import Order, TaskOrder
from inference.completions import CompletionResult, Endpoint, Messages, Sampling
from inference.errors import InferenceError
from inference.places import ask_for
from inference.queries import ready_endpoints, ready_pool

log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS = 4
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0
LOOK_AGAIN_S = 0.5
AT_THE_DOOR = 2
# Where there are more projects than places, a round is written for so long before it makes room.
TURN_S = 60.0

# Set when the worker process is asked to stop: jobs give up what is in flight and return.
stopping = threading.Event()


class Completer(Protocol):
    """Whoever answers: the pool of replicas, or a scripted fake in a unit test."""

    async def complete(
        self, model: str, messages: Messages, sampling: Sampling, n: int
    ) -> list[CompletionResult]: ...

    async def refresh(self, endpoints: Iterable[Endpoint]) -> None: ...


class Places:
    """How many jobs this process runs at once; 0: it is not known, and there is always room."""

    def __init__(self) -> None:
        self.count = 0
        self._taken = 0
        self._lock = threading.Lock()

    def take(self) -> None:
        with self._lock:
            self._taken += 1

    def give(self) -> None:
        with self._lock:
            self._taken -= 1

    @property
    def full(self) -> bool:
        return 0 < self.count <= self._taken


places = Places()


def generate_in_turn() -> None:
    """Write the round whose turn it is, if any waits.

    Which one is found out when a place is free, and not when a job is sent: the rounds of one
    project do not keep those of others waiting behind them.
    """
    tried: list[int] = []
    while not stopping.is_set() and (found := turns.waiting_rounds(count=1, but=tried)):
        if generate_round(round_id=found[0]):
            return
        tried += found  # another process was faster


def generate_round(*, round_id: int) -> bool:
    """Write completions until none is missing, or there is a reason to stop for now.

    Reasons: the round was paused or ended, enough is written ahead of the labelers, the process is
    stopping, another project has waited for its turn. Returns False when another job already writes
    this round.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="database") as thread:
        try:
            mine = thread.submit(turns.lock, round_id).result()
            if mine:
                asyncio.run(_run(round_id, thread))
        finally:
            thread.submit(connections.close_all).result()
    return mine


async def _run(round_id: int, thread: ThreadPoolExecutor) -> None:
    async with thread.submit(ready_pool).result() as pool:
        await Writer(round_id, thread, pool).run()


class Writer:
    """Keeps the replicas busy with tasks of one round, and a few more waiting at their door."""

    def __init__(self, round_id: int, thread: ThreadPoolExecutor, completer: Completer) -> None:
        self._round_id = round_id
        self._thread = thread
        self._completer = completer
        self._limit = AT_THE_DOOR
        self._running: dict[int, asyncio.Task[None]] = {}
        self._began = time.monotonic()
        self._ending = False  # what is in flight is still waited for
        self._asked: dict[int, set[str]] = {}  # models by task

    async def run(self) -> None:
        try:
            while await self._may_go_on():
                if not self._ending:
                    await self._start_tasks()
                if not self._running:
                    break
                await self._wait_for_one()
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)
        if not stopping.is_set():
            await self._database(store.settle, self._round_id)

    async def _may_go_on(self) -> bool:
        if stopping.is_set() or await self._gives_way():
            return False
        k = await self._database(store.wanted, self._round_id)
        if self._asked:
            await self._database(ask_for, set[str]().union(*self._asked.values()))
        endpoints = await self._database(ready_endpoints)
        await self._completer.refresh(endpoints)
        if k:
            share = await self._database(turns.share_of, self._round_id)
            room = share.of(settings.INFERENCE_CONCURRENCY * len(endpoints)) // k
            # Others keep the replicas busy where this round is not alone.
            self._limit = room + AT_THE_DOOR if share.alone else max(1, room)
        return k is not None

    async def _gives_way(self) -> bool:
        """Whether to stop at once for another project. What is lost is asked again later."""
        if not places.full:
            return False
        answer = await self._database(turns.gives_way, self._round_id)
        if answer == "in turn" and time.monotonic() - self._began > TURN_S:
            self._ending = True
        return answer == "now"

    async def _start_tasks(self) -> None:
        room = self._limit - len(self._running)
        if room <= 0:
            return
        orders = await self._database(
            store.next_orders,
            self._round_id,
            list(self._running),
            room,
        )
        for order in orders:
            self._asked[order.task_id] = {each.model for each in order.orders}
            self._running[order.task_id] = asyncio.create_task(self._write(order))

    async def _wait_for_one(self) -> None:
        done, _ = await asyncio.wait(
            self._running.values(), timeout=LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()  # a failure outside of inference ends the job
        self._running = {key: task for key, task in self._running.items() if not task.done()}
        self._asked = {key: self._asked[key] for key in self._running}

    async def _write(self, task: TaskOrder) -> None:
        """All missing completions of one task: one request for those that are sampled alike."""
        results = await asyncio.gather(
            *(self._complete(task, order) for order in task.orders), return_exceptions=True
        )
        for result in results:
            if isinstance(result, InferenceError):
                await self._database(store.fail, task.task_id, result.summary)
                return
            if isinstance(result, BaseException):
                raise result
        await self._database(store.open_task, task.task_id)

    async def _complete(self, task: TaskOrder, order: Order) -> None:
        results = await self._ask(task, order)
        if results:
            await self._database(store.keep, task.task_id, order, results)

    async def _ask(self, task: TaskOrder, order: Order) -> list[CompletionResult]:
        """The answers, however long the servers are away. Raises InferenceError when it is final.

        An absent server is waited for; one that answers badly is asked a few times. No answers: the
        source has another model by now, and what is missing is asked of that; or another project
        waits for this place.
        """
        attempts, pause = 0, FIRST_PAUSE_S
        while True:
            try:
                return await self._completer.complete(
                    order.model, task.messages, order.sampling, len(order.numbers)
                )
            except InferenceError as error:
                attempts += not error.replica_is_away
                if error.permanent or attempts >= ATTEMPTS:
                    raise
                log.warning("task %s: %s; again in %.0f s", task.task_id, error, pause)
            await asyncio.sleep(pause)
            if self._ending or not await self._database(store.is_current, order):
                return []
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _database(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(function, *args, **kwargs))
