"""The actor's versions on a vLLM server: an immutable adapter each, named by its content's hash.

Never loaded in place: vLLM then serves a cache that was computed with other weights. The start is a
version too, whose B is zero: on a CPU, vLLM answers requests to the bare base with an adapter's
weights when one is beside them.
"""

import asyncio
import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from training.engine.errors import EngineError, Passing, SpecError

# Writes the actor's adapter into a folder and returns its content hash.
Write = Callable[[Path], str]

LOOK_S = 5.0
LOAD_S = 60.0
PAUSE_S = 1.0
# A server that ends, or whose engine died, refuses everything for a while.
REFUSED_S = 60.0
HOW_TO_START = (
    "Start vLLM with --enable-lora, --max-loras 2 or more, a --max-lora-rank of lora.r at least, "
    "and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True; it must see the run folder."
)
WAITED = "The server that samples the answers went away, and the run waited for it."


class Versions:
    """Those of one run, with their files in `folder`.

    tell: is told when the run waits for the server.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._tell = tell
        # Two runs may have the same adapter, as at the start, and each unloads its own.
        self._run = "ppo-" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
        self._loaded: list[str] = []
        self._retired: list[str] = []
        self._told = False

    def add(self, write: Write) -> str:
        """Write the actor as it is now; returns its version's name."""
        draft = self._folder / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        name = f"{self._run}@{write(draft)[:16]}"
        if (self._folder / name).exists():
            shutil.rmtree(draft)
        else:
            draft.rename(self._folder / name)
        return name

    async def bring(self, http: httpx.AsyncClient, name: str, until: float) -> None:
        """Load a version where the server does not have it, as when it was started again.

        Waits for a server that is away. until: when to give up, on the monotonic clock. Raises
        Passing then, SpecError when the server goes on refusing.
        """
        refused = time.monotonic() + REFUSED_S
        while True:
            try:
                return await self._load(http, name)
            except Passing:
                if time.monotonic() > until:
                    raise
                refused = time.monotonic() + REFUSED_S
                self.waiting()
            except SpecError:
                if time.monotonic() > refused:
                    raise
            await asyncio.sleep(PAUSE_S)

    def waiting(self) -> None:
        """Say so, once."""
        if not self._told:
            self._tell(WAITED)
        self._told = True

    async def _load(self, http: httpx.AsyncClient, name: str) -> None:
        if name not in self._loaded:
            self._loaded.append(name)
        if name not in await names_on(http):
            place = str((self._folder / name).resolve())
            await _adapter(http, "load", {"lora_name": name, "lora_path": place})

    async def retire(self, http: httpx.AsyncClient, current: str) -> None:
        """Unload all but the current one, and delete the files of those before: vLLM may still
        read those of what it unloads.
        """
        before, gone = self._retired, []
        for name in [one for one in self._loaded if one != current]:
            try:
                await _adapter(http, "unload", {"lora_name": name})
            except EngineError:
                break  # the next time; a server that starts again has none of them
            self._loaded.remove(name)
            gone.append(name)
        if gone:
            self._retired = gone
            for old in {*before} - {*gone, current}:
                shutil.rmtree(self._folder / old, ignore_errors=True)

    async def clear(self, http: httpx.AsyncClient) -> None:
        """Unload whatever the server has of this run, or is about to have. Raises EngineError."""
        there = [name for name in await names_on(http) if name.startswith(f"{self._run}@")]
        for name in {*there, *self._loaded}:
            await _adapter(http, "unload", {"lora_name": name})

    def forget(self) -> None:
        """Delete all files."""
        shutil.rmtree(self._folder, ignore_errors=True)


async def names_on(http: httpx.AsyncClient) -> list[str]:
    """The names of what a server answers with. Raises Passing."""
    try:
        reply = await http.get("/v1/models", timeout=LOOK_S)
        reply.raise_for_status()
        return [str(one["id"]) for one in reply.json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as problem:
        raise Passing(f"ppo.server: no vLLM answers at {http.base_url} ({problem}).") from problem


async def check(http: httpx.AsyncClient, versions: Versions) -> None:
    """Raises SpecError when there is no server; unloads what a killed run left there."""
    try:
        await names_on(http)
    except Passing as problem:
        raise SpecError(problem.message, advice=HOW_TO_START) from problem
    await versions.clear(http)


async def _adapter(http: httpx.AsyncClient, verb: str, body: dict[str, str]) -> None:
    try:
        reply = await http.post(f"/v1/{verb}_lora_adapter", json=body, timeout=LOAD_S)
    except httpx.TransportError as problem:
        raise Passing(f"ppo.server: vLLM does not answer ({problem!r}).") from problem
    # The same content under the same name, of another process of the run: as good as loaded.
    if reply.status_code == httpx.codes.OK or "already been loaded" in reply.text:
        return
    if verb == "unload" and reply.status_code == httpx.codes.NOT_FOUND:
        return
    raise SpecError(
        f"ppo.server: vLLM does not {verb} the adapter ({reply.status_code}: {reply.text[:200]}).",
        advice=HOW_TO_START,
    )
