"""Whoever answers in place of a model: good completions, or what a test tells it to do."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from django.utils import timezone

from annotate.models import Round
from annotate.services.generation import Writer
from inference.completions import CompletionResult, Endpoint, Messages, Sampling
from inference.models import Replica, ServedModel, Serving


@dataclass(frozen=True)
class Asked:
    model: str
    messages: Messages
    sampling: Sampling
    n: int

    @property
    def question(self) -> str:
        return self.messages[-1]["content"]


Behaviour = Callable[[Asked], Awaitable[list[str] | None]]


@dataclass
class Scripted:
    """Answers each request by `behave`, which may give texts, fail, or leave it to us (None)."""

    behave: Behaviour | None = None
    asked: list[Asked] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def refresh(self, endpoints: Iterable[Endpoint]) -> None:
        """It is always there."""

    async def complete(
        self, model: str, messages: Messages, sampling: Sampling, n: int
    ) -> list[CompletionResult]:
        request = Asked(model, messages, sampling, n)
        self.asked.append(request)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(0.002)
            texts = await self.behave(request) if self.behave else None
        finally:
            self.at_once -= 1
        texts = texts or [f"{model} at {sampling.temperature}: {place}" for place in range(n)]
        return [result(model, text) for text in texts]


def result(model: str, text: str) -> CompletionResult:
    return CompletionResult(
        text=text,
        finish_reason="stop",
        tokens=len(text.split()) + 1,
        logprob_sum=-3.5,
        model=model,
        prompt_tokens=11,
        replica="gpu-1",
        chat_template_hash="c" * 64,
        server="vllm-test",
        latency_s=0.25,
    )


def write(round_: Round, completer: Any) -> Round:
    """Run the generation job to its end; the round as it is then."""
    with ThreadPoolExecutor(1) as thread:
        try:
            asyncio.run(Writer(round_.pk, thread, completer).run())
        finally:
            thread.submit(connections.close_all).result()
    round_.refresh_from_db()
    return round_


def serve(*models: ServedModel, name: str = "gpu-1") -> None:
    """A replica that is ready to answer as each of the models."""
    now = timezone.now()
    replica = Replica.objects.create(
        name=name, url=f"http://{name}:8000", state=Replica.State.READY, checked_at=now
    )
    for model in models:
        Serving.objects.create(
            replica=replica, served_model=model, selftest="passed", tested_at=now
        )
