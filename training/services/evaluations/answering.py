"""Both sides answer the held-out prompts: a job that may be killed anywhere and run again.

It needs no files: another job has brought both sides to the servers (`serving`).

What is missing is always read from the database, and a unique constraint refuses a second answer
for the same place. Both sides are asked for under versioned names, never under an alias: what a
name means cannot change while answers are written, and every answer's adapter is checked.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import connections

from annotate.services.generation import Completer, stopping
from inference.completions import CompletionResult, Sampling
from inference.errors import InferenceError
from inference.places import ask_for
from inference.queries import ready_endpoints, ready_pool
from training.models import Evaluation, Side
from training.services.evaluations import answer_store as store
from training.services.evaluations import contenders
from training.services.evaluations.answer_store import Order
from training.services.evaluations.contenders import Contender
from training.services.evaluations.serving import put_off

log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

LOOK_AGAIN_S = 1.0
AT_THE_DOOR = 2


def answer_evaluation(*, evaluation_id: int) -> None:
    """Have answers written until none is missing, or there is a reason to stop for now.

    Reasons: it was canceled, a server is away, a side is not served any more, the process is
    stopping, or another job of the project answers.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="database") as thread:
        try:
            found = thread.submit(_begin, evaluation_id).result()
            if found is not None:
                asyncio.run(_run(*found, thread))
        finally:
            thread.submit(connections.close_all).result()


def _begin(evaluation_id: int) -> tuple[Evaluation, Mapping[Side, Contender]] | None:
    evaluation = store.answering(evaluation_id) if store.lock(evaluation_id) else None
    sides = contenders.served(evaluation) if evaluation else None
    return (evaluation, sides) if evaluation and sides else None


async def _run(
    evaluation: Evaluation, sides: Mapping[Side, Contender], thread: ThreadPoolExecutor
) -> None:
    async with thread.submit(ready_pool).result() as pool:
        await Asker(evaluation, sides, thread, pool).run()


class Asker:
    """Keeps the replicas busy with the answers that are missing."""

    def __init__(
        self,
        evaluation: Evaluation,
        sides: Mapping[Side, Contender],
        thread: ThreadPoolExecutor,
        completer: Completer,
    ) -> None:
        chosen = evaluation.settings
        self._sampling = Sampling(chosen["temperature"], chosen["top_p"], chosen["max_tokens"])
        self._evaluation = evaluation
        self._sides = sides
        self._thread = thread
        self._completer = completer
        self._running: dict[tuple[int, Side], asyncio.Task[None]] = {}
        self._failure: InferenceError | None = None

    async def run(self) -> None:
        try:
            while await self._may_go_on():
                await self._start()
                if not self._running:
                    break
                await self._wait_for_one()
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)
        if stopping.is_set():
            return
        if await self._database(store.settle, self._evaluation.pk):
            await self._database(contenders.release, self._evaluation.project.slug)
        elif self._failure is not None:
            await self._database(put_off, self._evaluation.pk, self._failure)

    async def _may_go_on(self) -> bool:
        """After a failure what is under way is waited for, and nothing more is begun."""
        if stopping.is_set() or (self._failure and not self._running):
            return False
        await self._database(ask_for, [side.name for side in self._sides.values()])
        await self._completer.refresh(await self._database(ready_endpoints))
        return await self._database(store.is_wanted, self._evaluation.pk)

    async def _start(self) -> None:
        room = settings.INFERENCE_CONCURRENCY + AT_THE_DOOR - len(self._running)
        if self._failure or room <= 0:
            return
        under_way = list(self._running)
        for order in await self._database(store.missing, self._evaluation, under_way, room):
            key = (order.prompt_id, order.side)
            self._running[key] = asyncio.create_task(self._answer(order))

    async def _wait_for_one(self) -> None:
        done, _ = await asyncio.wait(
            self._running.values(), timeout=LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()  # a failure outside of inference ends the job
        self._running = {key: task for key, task in self._running.items() if not task.done()}

    async def _answer(self, order: Order) -> None:
        contender = self._sides[order.side]
        try:
            (result,) = await self._completer.complete(
                contender.name, order.messages, self._sampling, 1
            )
            adapter_hash = _checked(contender, result)
        except InferenceError as error:
            if error.code == "context_length":
                await self._database(store.leave_out, self._evaluation.pk, order, error.summary)
            else:
                log.warning("%s, prompt %s: %s", self._evaluation, order.prompt_id, error)
                self._failure = error
            return
        await self._database(store.keep, self._evaluation.pk, order, result, adapter_hash)

    async def _database(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(function, *args, **kwargs))


def _checked(contender: Contender, result: CompletionResult) -> str:
    """The hash of the adapter that answered; "" for the base. Raises InferenceError for another."""
    if result.adapter_hash in contender.stands_in:
        return ""
    if result.adapter_hash != contender.content_hash:
        raise InferenceError(
            "bad_response",
            f"{result.replica} answered with another adapter than {contender.name}; it is asked "
            "again.",
            detail=f"adapter {result.adapter_hash or 'none'}",
        )
    return result.adapter_hash
