"""Answers from a vLLM server that has the base: every version of the actor is an adapter of it.

A new version is loaded beside the old one, answers all requests from then on, and the old one is
unloaded. A server that is started again in between is waited for and given the version again.

No seed is sent: on a CPU it ends the engine. The server needs `--enable-lora`, a rank and two slots
(`--max-lora-rank`, `--max-loras`), VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, and the run folder on its
file system; at a temperature other than 1 `--logprobs-mode processed_logprobs`, without which
answers that are a step old are not corrected for it. Its key, if it has one, is read from the
environment variable VLLM_API_KEY.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from training.engine.errors import EngineError, Passing, SpecError
from training.engine.groups import Tokens
from training.engine.ppo.rollouts.answers import Answer, Sampling
from training.engine.ppo.rollouts.versions import Versions, Write, check, names_on

CONNECT_S = 5.0
# Waiting its turn, reading the prompt, writing: the slowest rate measured, halved, as in a replica.
ANSWER_S = 120.0
ANSWER_PER_TOKEN_S = 1.0
DRAIN_S = 60.0
AT_ONCE = 64
TRIES = 3
PAUSE_S = 1.0
# A server that is started again reads its model first. Counted from the last answer on.
AWAY_S = 900.0
WATCH_S = 10.0
GONE = 3  # looks in a row that find nobody
ENDINGS = frozenset({"stop", "length"})
_NO_LIMITS = httpx.Limits(max_connections=None)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Served:
    """A server at `url`. folder: for adapters. write: None in all processes but the first.

    tell: is told when the run waits for the server. shared: what all processes agree on, from the
    first one's; itself where there is one process.
    """

    overlaps = True

    def __init__(
        self,
        url: str,
        folder: Path,
        sampling: Sampling,
        write: Write | None,
        tell: Callable[[str], None],
        shared: Callable[[str], str] = str,
    ) -> None:
        """Raises SpecError when no server answers there."""
        self._sampling = sampling
        self._write = write
        self._shared = shared
        key = os.environ.get("VLLM_API_KEY", "")
        deadline = ANSWER_S + ANSWER_PER_TOKEN_S * sampling.max_new_tokens
        self._options: dict[str, Any] = {
            "base_url": url,
            "headers": {"Authorization": f"Bearer {key}"} if key else None,
            "timeout": httpx.Timeout(deadline, connect=CONNECT_S, pool=None),
            "limits": _NO_LIMITS,
            # Certificates take a tenth of a second to read.
            "verify": httpx.URL(url).scheme == "https",
            # A proxy for the outer world must not catch requests to this machine.
            "trust_env": httpx.URL(url).host not in LOOPBACK,
        }
        self._versions = Versions(folder, tell)
        self._name = ""
        self._changed = threading.Condition()
        self._under_way: Callable[[], object] | None = None  # how to cancel it
        self._closed = False
        if self._write is not None:
            self._versions.forget()
            asyncio.run(self._check())

    async def _check(self) -> None:
        async with httpx.AsyncClient(**self._options) as http:
            await check(http, self._versions)

    def publish(self) -> None:
        """The server gets it when it is to answer, and needs not be there now."""
        self._name = self._shared("" if self._write is None else self._versions.add(self._write))

    def sample(self, prompts: Sequence[Tokens], seed: int) -> list[tuple[Answer, ...]]:
        """seed: is not used. Raises Passing when the server fails, SpecError when it refuses."""
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            task = loop.create_task(self._all(self._name, prompts))
            with self._changed:
                self._under_way = lambda: loop.call_soon_threadsafe(task.cancel)
                if self._closed:
                    task.cancel()
            try:
                return loop.run_until_complete(task)
            finally:
                with self._changed:
                    self._under_way = None
                    self._changed.notify_all()

    async def _all(self, name: str, prompts: Sequence[Tokens]) -> list[tuple[Answer, ...]]:
        """Cancelled, it closes its connections, upon which vLLM drops the requests."""
        found: dict[int, tuple[Answer, ...]] = {}
        until = time.monotonic() + AWAY_S
        async with httpx.AsyncClient(**self._options) as http:
            while len(found) < len(prompts):
                known = len(found)
                await self._versions.bring(http, name, until)
                try:
                    await self._rest(http, name, prompts, found)
                except Passing:
                    if self._closed:  # a group that fails forgets that it was cancelled
                        raise asyncio.CancelledError from None
                    if len(found) > known:
                        until = time.monotonic() + AWAY_S
                    if time.monotonic() > until:
                        raise
                    self._versions.waiting()
                    await asyncio.sleep(PAUSE_S)
            if self._write is not None:
                await self._versions.retire(http, name)
        return [found[number] for number in range(len(prompts))]

    async def _rest(
        self,
        http: httpx.AsyncClient,
        name: str,
        prompts: Sequence[Tokens],
        found: dict[int, tuple[Answer, ...]],
    ) -> None:
        """Answers to the prompts that are not in `found` yet go there."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with turn:
                found[number] = await self._ask(http, name, prompts[number])

        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch())
                missing = [number for number in range(len(prompts)) if number not in found]
                await asyncio.wait([group.create_task(one(number)) for number in missing])
                watching.cancel()
        except* EngineError as failed:
            raise failed.exceptions[0] from failed

    async def _watch(self) -> None:
        """A server that was asked to end keeps what it is answering open and never answers it.

        Raises Passing when none can be reached any more.
        """
        gone = 0
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                async with httpx.AsyncClient(**self._options) as http:
                    await names_on(http)
                gone = 0
            except Passing:
                gone += 1
                if gone == GONE:
                    raise

    async def _ask(self, http: httpx.AsyncClient, name: str, prompt: Tokens) -> tuple[Answer, ...]:
        sampling = self._sampling
        body = {
            "model": name,
            "prompt": list(prompt),
            "n": sampling.samples,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "stop_token_ids": list(sampling.ends),
            "logprobs": 1,
            "return_token_ids": True,
        }
        reply = await _exchange(http, body)
        try:
            choices = sorted(reply.json()["choices"], key=lambda one: int(one["index"]))
            answers = tuple(self._answer(one) for one in choices)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise Passing(f"ppo.server: vLLM gave no completion ({problem!r}).") from problem
        if len(answers) != sampling.samples:
            raise Passing(f"ppo.server: vLLM gave {len(answers)} of {sampling.samples} samples.")
        return answers

    def _answer(self, choice: dict[str, Any]) -> Answer:
        if choice["finish_reason"] not in ENDINGS:  # the server ends, or was told to drop it
            raise Passing(f"ppo.server: vLLM broke off ({choice['finish_reason']}).")
        tokens = choice.get("token_ids")
        logprobs = (choice.get("logprobs") or {}).get("token_logprobs")
        if not tokens or not logprobs or len(tokens) != len(logprobs):
            raise SpecError(
                "ppo.server: vLLM gave no token ids with their log-probabilities.",
                advice="Use vLLM 0.32 or newer.",
            )
        finished = tokens[-1] in self._sampling.ends
        return Answer(tuple(tokens), finished, tuple(float(one) for one in logprobs))

    def close(self) -> None:
        """Drop what is being answered, unload; a server that is gone has nothing to unload."""
        with self._changed:
            self._closed = True
            if self._under_way is not None:
                self._under_way()
            self._changed.wait_for(lambda: self._under_way is None, timeout=DRAIN_S)
        if self._write is None:
            return
        with suppress(EngineError):
            asyncio.run(self._clear())
        self._versions.forget()

    async def _clear(self) -> None:
        async with httpx.AsyncClient(**self._options) as http:
            await self._versions.clear(http)


async def _exchange(http: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
    """Sampling again is as good: a passing failure is tried again."""
    problem = ""
    for attempt in range(TRIES):
        await asyncio.sleep(PAUSE_S * attempt)
        try:
            reply = await http.post("/v1/completions", json=body)
        except httpx.HTTPError as failed:
            problem = repr(failed)
            break  # it ends, or hangs: whether it is there is to be seen first
        if reply.status_code == httpx.codes.OK:
            return reply
        problem = f"{reply.status_code}: {reply.text[:200]}"
        if reply.status_code == httpx.codes.NOT_FOUND:
            break  # it was started again, and has no version
        if not reply.is_server_error:
            raise SpecError(f"ppo.server: vLLM refuses a request ({problem}).")
    raise Passing(f"ppo.server: vLLM does not answer ({problem}).")
