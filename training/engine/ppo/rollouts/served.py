"""Answers from a vLLM server that has the base: every version of the actor is an adapter of it.

An adapter is immutable and its name is its content's hash. A new one is loaded beside the old,
requests go to it from then on, the old one is unloaded once its last request is answered, and its
files are deleted one version later: vLLM may still read them. Never loaded in place: vLLM then
serves a cache that was computed with other weights. The start is an adapter too, whose B is zero:
on a CPU, vLLM answers requests to the bare base with an adapter's weights when one is beside them.

No seed is sent: on a CPU it ends the engine. The server needs `--enable-lora`, a rank and two slots
(`--max-lora-rank`, `--max-loras`), VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, and the run folder on its
file system; at a temperature other than 1 `--logprobs-mode processed_logprobs`, without which
answers that are a step old are not corrected for it. Its key, if it has one, is read from the
environment variable VLLM_API_KEY.
"""

import asyncio
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from training.engine.errors import EngineError, Passing, SpecError
from training.engine.groups import Tokens
from training.engine.ppo.rollouts.answers import Answer, Sampling

# Writes the actor's adapter into a folder and returns its content hash.
Write = Callable[[Path], str]

CONNECT_S = 5.0
LOAD_S = 60.0
# Waiting its turn, reading the prompt, writing: the slowest rate measured, halved, as in a replica.
ANSWER_S = 120.0
ANSWER_PER_TOKEN_S = 1.0
DRAIN_S = 60.0
AT_ONCE = 64
TRIES = 3
PAUSE_S = 1.0
SERVER_ERROR = 500
HOW_TO_START = (
    "Start vLLM with --enable-lora, --max-loras 2 or more, a --max-lora-rank of lora.r at least, "
    "and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True; it must see the run folder."
)
_NO_LIMITS = httpx.Limits(max_connections=None)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Served:
    """A server at `url`. folder: for adapters. write: None in all processes but the first.

    shared: what all processes agree on, from the first one's; itself where there is one process.
    """

    overlaps = True

    def __init__(
        self,
        url: str,
        folder: Path,
        sampling: Sampling,
        write: Write | None,
        shared: Callable[[str], str] = str,
    ) -> None:
        """Raises SpecError when no server answers there."""
        self._sampling = sampling
        self._folder = folder
        self._write = write
        self._shared = shared
        key = os.environ.get("VLLM_API_KEY", "")
        deadline = ANSWER_S + ANSWER_PER_TOKEN_S * sampling.max_new_tokens
        self._options: dict[str, Any] = {
            "base_url": url,
            "headers": {"Authorization": f"Bearer {key}"} if key else None,
            "timeout": httpx.Timeout(deadline, connect=CONNECT_S, pool=None),
            # Certificates take a tenth of a second to read.
            "verify": httpx.URL(url).scheme == "https",
            # A proxy for the outer world must not catch requests to this machine.
            "trust_env": httpx.URL(url).host not in LOOPBACK,
        }
        # Two runs may have the same adapter, as at the start, and each unloads its own.
        self._run = "ppo-" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
        self._name = ""
        self._retired: list[Path] = []
        self._busy: dict[str, int] = {}
        self._changed = threading.Condition()
        self._cancel: Callable[[], object] = bool
        if self._write is not None:
            shutil.rmtree(folder, ignore_errors=True)
            self._check()

    def _check(self) -> None:
        try:
            with httpx.Client(**self._options) as http:
                reply = http.get("/v1/models", timeout=CONNECT_S)
            reply.raise_for_status()
            names = [str(one["id"]) for one in reply.json()["data"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as problem:
            raise SpecError(
                f"ppo.server: no vLLM answers at {self._options['base_url']} ({problem}).",
                advice=HOW_TO_START,
            ) from problem
        for name in names:
            if name.startswith(f"{self._run}@"):  # of this run, which was killed
                self._adapter("unload", {"lora_name": name})

    def publish(self) -> None:
        old = self._name
        name = self._load(self._write) if self._write is not None else ""
        self._name = self._shared(name)
        if old and old != self._name and self._write is not None:
            self._retire(old)

    def _load(self, write: Write) -> str:
        draft = self._folder / "draft"
        name = f"{self._run}@{write(draft)[:16]}"
        place = self._folder / name
        if name == self._name:
            shutil.rmtree(draft)
            return name
        shutil.rmtree(place, ignore_errors=True)
        draft.rename(place)
        self._adapter("load", {"lora_name": name, "lora_path": str(place.resolve())})
        return name

    def _adapter(self, verb: str, body: dict[str, str]) -> None:
        try:
            with httpx.Client(**self._options) as http:
                reply = http.post(f"/v1/{verb}_lora_adapter", json=body, timeout=LOAD_S)
        except httpx.HTTPError as problem:
            raise Passing(f"ppo.server: vLLM does not answer ({problem!r}).") from problem
        # The same content under the same name, of a run that was killed: as good as loaded.
        if reply.status_code == httpx.codes.OK or "already been loaded" in reply.text:
            return
        if verb == "unload" and reply.status_code == httpx.codes.NOT_FOUND:
            return
        raise SpecError(
            f"ppo.server: vLLM does not {verb} the adapter ({reply.status_code}: "
            f"{reply.text[:200]}).",
            advice=HOW_TO_START,
        )

    def _retire(self, name: str) -> None:
        """Unload an old version after its last answer; delete the files of the one before it."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._busy.get(name), timeout=DRAIN_S):
                raise Passing(f"vLLM still answers with {name} after {DRAIN_S:g} s.")
        self._adapter("unload", {"lora_name": name})
        for place in self._retired:
            shutil.rmtree(place, ignore_errors=True)
        self._retired = [self._folder / name]

    def sample(self, prompts: Sequence[Tokens], seed: int) -> list[tuple[Answer, ...]]:
        """seed: is not used. Raises Passing when the server fails, SpecError when it refuses."""
        name = self._name
        loop = asyncio.new_event_loop()
        with self._changed:
            self._busy[name] = self._busy.get(name, 0) + 1
            task = loop.create_task(self._all(name, prompts))
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            return loop.run_until_complete(task)
        finally:
            with self._changed:
                self._cancel = bool
                self._busy[name] -= 1
                self._changed.notify_all()
            loop.close()

    async def _all(self, name: str, prompts: Sequence[Tokens]) -> list[tuple[Answer, ...]]:
        """Cancelled, it closes its connections, upon which vLLM drops the requests."""
        turn = asyncio.Semaphore(AT_ONCE)
        async with httpx.AsyncClient(**self._options, limits=_NO_LIMITS) as http:

            async def one(prompt: Tokens) -> tuple[Answer, ...]:
                async with turn:
                    return await self._ask(http, name, prompt)

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(one(prompt)) for prompt in prompts]
            except* EngineError as failed:
                raise failed.exceptions[0] from failed
        return [task.result() for task in tasks]

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
        choices = sorted(reply["choices"], key=lambda one: int(one["index"]))
        return tuple(self._answer(one) for one in choices)

    def _answer(self, choice: dict[str, Any]) -> Answer:
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
        name, self._name = self._name, ""
        with self._changed:
            self._cancel()
        if not name or self._write is None:
            return
        try:
            self._retire(name)
        except EngineError:
            return
        shutil.rmtree(self._folder, ignore_errors=True)


async def _exchange(http: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    """Sampling again is as good: a passing failure is tried again."""
    problem = ""
    for attempt in range(TRIES):
        await asyncio.sleep(PAUSE_S * attempt)
        try:
            reply = await http.post("/v1/completions", json=body)
        except httpx.TransportError as failed:
            problem = repr(failed)
            continue
        if reply.status_code == httpx.codes.OK:
            found: dict[str, Any] = reply.json()
            return found
        problem = f"{reply.status_code}: {reply.text[:200]}"
        if reply.status_code < SERVER_ERROR:
            raise SpecError(f"ppo.server: vLLM refuses a request ({problem}).")
    raise Passing(f"ppo.server: vLLM does not answer ({problem}).")
