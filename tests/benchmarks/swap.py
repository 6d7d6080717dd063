"""Promotions while 16 clients ask without a pause: what fails, what is wrong, how long it takes.

A whole Prefloop with the real vLLM: promotions go through the service and the worker, questions
through a pool by the project's alias. Three adapters answer with one word each, so every answer
tells who wrote it. Each was served before as a candidate, as one that was evaluated is; a swap to
one that no server has loaded and tested yet is measured apart (first_load_s, under the same load).
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import connections

from annotate import environment
from annotate.launch import plan
from annotate.launch.child import Child
from annotate.models import Project, User
from annotate.services.projects import create_project
from inference import queries
from inference.adapters import drop_alias, register_adapter, serve_adapter
from inference.client import ReplicaClient
from inference.completions import CompletionRequest, CompletionResult, Endpoint, Sampling
from inference.errors import InferenceError
from inference.queries import inference_state
from inference.routing import Pool
from tests import cast, services
from tests.benchmarks import machine
from tests.benchmarks.generation import wait
from tests.benchmarks.swap_prompts import PROMPTS, messages_of
from tests.inference.adapter_folders import write_card
from tests.promotion.adapters import trained_adapter
from tests.services import ENV
from training.models import Promotion, PromotionState, TrainedAdapter
from training.services import promotions

ALIAS, CANDIDATE = "bench/current", "evaluated/candidate"
WORDS = ("Red", "Blue", "Green")
LATE = "Yellow"  # not served before its promotion
GREEDY = Sampling(temperature=0.0, top_p=1.0, max_tokens=1)
CLIENTS = 16
REFRESH_S = 0.05
SETTLED_S = 2.0  # after this long no question may go to the former adapter


@dataclass(frozen=True)
class Answer:
    asked_at: float
    answered_at: float
    prompt: str
    adapter_hash: str
    text: str


@dataclass
class Load:
    """Clients that ask by the alias, one question after the other, in a thread of their own."""

    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    async def _run(self) -> None:
        endpoints = await asyncio.to_thread(queries.ready_endpoints)
        async with (
            Pool(endpoints, api_key=settings.INFERENCE_API_KEY) as pool,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._refresh(pool))
            for number in range(CLIENTS):
                group.create_task(self._client(pool, number))
        await asyncio.to_thread(connections.close_all)

    async def _refresh(self, pool: Pool) -> None:
        while not self._done.is_set():
            await pool.refresh(await asyncio.to_thread(queries.ready_endpoints))
            await asyncio.sleep(REFRESH_S)

    async def _client(self, pool: Pool, number: int) -> None:
        turn = number
        while not self._done.is_set():
            prompt = PROMPTS[turn % len(PROMPTS)]
            turn += 1
            asked_at = time.monotonic()
            try:
                result = (await pool.complete(ALIAS, messages_of(prompt), GREEDY))[0]
            except InferenceError as error:
                self.failures.append(str(error))
                await asyncio.sleep(0.1)
                continue
            self.answers.append(
                Answer(asked_at, time.monotonic(), prompt, result.adapter_hash, result.text)
            )


def make_adapters(project: Project, ada: User, base: str, folder: Path) -> list[TrainedAdapter]:
    """Trained in a process of its own, stored as a run stores them."""
    folders = [folder / word for word in (*WORDS, LATE)]
    make = "from tests.benchmarks.swap_adapters import main; main()"
    model = str(plan.model_folder(ENV))
    missing = [str(each) for each in folders if not (each / "adapter_config.json").is_file()]
    if missing:
        command = [sys.executable, "-c", make, model, *missing]
        subprocess.run(command, cwd=environment.CHECKOUT, check=True, timeout=1800)
    for each in folders:
        write_card(each, environment.BUNDLED_MODEL)
    return [trained_adapter(each, project, ada, base=base) for each in folders]


def known_answers(name: str) -> dict[tuple[str, str], str]:
    """Greedy answers of whatever serves the name, asked alone, by its hash and the prompt."""
    results = [(prompt, asyncio.run(_ask(name, prompt))) for prompt in PROMPTS]
    return {(result.adapter_hash, prompt): result.text for prompt, result in results}


def check_distinct(known: dict[tuple[str, str], str]) -> None:
    """Raises RuntimeError where two adapters answer alike."""
    for prompt in PROMPTS:
        texts = [text for (_, asked), text in known.items() if asked == prompt]
        if len(set(texts)) < len(texts):
            raise RuntimeError(f"the adapters are not told apart by {prompt!r}: {texts}")


def _serve_as_candidate(adapter: TrainedAdapter) -> None:
    """As an evaluation does."""
    known = register_adapter(content_hash=adapter.content_hash, base=adapter.base)
    serve_adapter(alias=CANDIDATE, base=adapter.base, adapter_id=known.pk)


async def _ask(model: str, prompt: str) -> CompletionResult:
    endpoints = await asyncio.to_thread(queries.ready_endpoints)
    async with Pool(endpoints, api_key=settings.INFERENCE_API_KEY) as pool:
        return (await pool.complete(model, messages_of(prompt), GREEDY))[0]


def swap(load: Load, project: Project, adapter: TrainedAdapter | None) -> tuple[float, str]:
    """Promote (None: roll back); seconds until the first new answer, and the new hash."""
    began = time.monotonic()
    if adapter is None:
        asked = promotions.roll_back(project_id=project.pk, actor_id=None)
    else:
        asked = promotions.promote(project_id=project.pk, actor_id=None, adapter_id=adapter.pk)
    if asked.adapter is None:
        raise RuntimeError("the benchmark does not go back to the base")
    new = asked.adapter.content_hash
    seen = len(load.answers)

    def answered() -> float | None:
        found = (a for a in load.answers[seen:] if a.adapter_hash == new and a.asked_at >= began)
        first = next(found, None)
        return first.answered_at if first else None

    wait("the first new answer", lambda: answered() is not None)
    wait("the promotion", lambda: _state(asked) == PromotionState.DONE)
    return (answered() or began) - began, new


def _state(promotion: Promotion) -> str:
    return Promotion.objects.values_list("state", flat=True).get(pk=promotion.pk)


def count_wrong(
    load: Load, known: dict[tuple[str, str], str], eras: list[tuple[float, str]]
) -> int:
    """Answers in another's words, or by one that was replaced long before the question.

    eras: since when (of the first new answer) which hash is current.
    """
    wrong = 0
    for answer in load.answers:
        settled = [new for since, new in eras if since + SETTLED_S < answer.asked_at]
        begun = {new for since, new in eras if since > answer.asked_at - SETTLED_S}
        allowed = {*settled[-1:], *begun} if settled else begun
        own_words = answer.text == known[answer.adapter_hash, answer.prompt]
        wrong += not own_words or answer.adapter_hash not in allowed
    return wrong


def restart(child: Child, base: str) -> float:
    """Seconds from the order to stop until the started server answers."""
    began = time.monotonic()
    services.halt(child)
    child.start()
    services.wait_until_ready(child)
    request = CompletionRequest(base, messages_of(PROMPTS[0]), GREEDY)

    async def ask() -> None:
        endpoint = Endpoint("local", settings.INFERENCE_URLS[0])
        async with ReplicaClient(endpoint, api_key=settings.INFERENCE_API_KEY) as replica:
            await replica.complete(request)

    asyncio.run(ask())
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=20)
    options = parser.parse_args()
    with (
        machine.stores(),
        services.local_vllm() as vllm,
        machine.jobs("worker", "beat"),
    ):
        wait("vLLM", lambda: inference_state()["state"] == "ready")
        print(json.dumps(measure(vllm, options.swaps)))


def measure(vllm: Child, swaps: int) -> dict[str, float]:
    ada = cast.person("ada")
    project = create_project(actor_id=ada.pk, slug="bench", name="Bench")
    model = queries.default_base()
    if model is None:
        raise RuntimeError("no base is served")
    *adapters, late = make_adapters(
        project, ada, model.name, plan.model_folder(ENV).parent / "swap-adapters"
    )
    known: dict[tuple[str, str], str] = {}
    for adapter in adapters:
        _serve_as_candidate(adapter)
        known |= known_answers(CANDIDATE)
    drop_alias(alias=CANDIDATE)
    first = promotions.promote(project_id=project.pk, actor_id=None, adapter_id=adapters[0].pk)
    wait("the first promotion", lambda: _state(first) == PromotionState.DONE)
    load, times = Load(), []
    eras = [(0.0, adapters[0].content_hash)]
    with load.running():
        wait("the load", lambda: len(load.answers) > 5 * CLIENTS)
        for number in range(swaps):
            # Every fourth goes back to what was before.
            current = [each.content_hash for each in adapters].index(eras[-1][1])
            target = None if number % 4 == 3 else adapters[(current + 1) % len(adapters)]
            seconds, new = swap(load, project, target)
            times.append(seconds)
            eras.append((time.monotonic(), new))
            print(f"swap {number + 1}: {seconds:.2f} s, {len(load.answers)} answers", flush=True)
            time.sleep(1.0)
        first_load, new = swap(load, project, late)
        eras.append((time.monotonic(), new))
        print(f"one that was never loaded: {first_load:.2f} s", flush=True)
    for failure in load.failures[:5]:
        print(failure)
    known |= known_answers(ALIAS)
    check_distinct(known)
    wrong = count_wrong(load, known, eras)
    return {
        "swaps": swaps,
        "failed": len(load.failures),
        "wrong": wrong,
        "p95_s": round(statistics.quantiles(times, n=20, method="inclusive")[-1], 2),
        "restart_s": round(restart(vllm, model.name), 1),
        "median_s": round(statistics.median(times), 2),
        "first_load_s": round(first_load, 1),
        "answers": len(load.answers),
    }


if __name__ == "__main__":
    main()
