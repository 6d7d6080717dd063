"""What a round costs beside its tokens: a round's tokens/s against the bare server's.

The same requests go to the same vLLM, turn by turn: once through a round (Celery, database,
checks and all), once straight from a loop that only sends them, as many at a time.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import httpx
from django.conf import settings
from django.db.models import Sum

from annotate.models import Completion, Project, Round, RoundState, User
from annotate.queries.prompts import PromptFilter
from annotate.services import rounds
from annotate.services.projects import create_project
from formats.documents import with_documents
from inference.completions import CompletionRequest, Sampling
from inference.models import ServedModel
from inference.queries import inference_state
from tests import cast, services
from tests.benchmarks import machine

PATIENCE_S = 900.0


def wait(what: str, until: Any) -> None:
    """Poll, with an end."""
    limit = time.monotonic() + PATIENCE_S
    while not until():
        if time.monotonic() > limit:
            raise RuntimeError(f"{what} took more than {PATIENCE_S:.0f} s")
        time.sleep(0.05)


def through_a_round(project: Project, ada: User, model: ServedModel, k: int, tokens: int) -> float:
    """Tokens a second from the click on start until labeling is open everywhere."""
    source = rounds.Source(served_model_id=model.pk, temperature=0.8, max_tokens=tokens)
    round_ = rounds.create_round(
        project_id=project.pk,
        actor_id=ada.pk,
        prompts=PromptFilter(),
        k=k,
        overlap=1,
        sources=[source],
    )
    began = time.monotonic()
    rounds.start_round(round_id=round_.pk, actor_id=ada.pk)
    wait("the round", lambda: _state(round_) != RoundState.GENERATING)
    seconds = time.monotonic() - began
    if _state(round_) != RoundState.LABELING:
        raise RuntimeError(f"the round ended as {_state(round_)}")
    written = Completion.objects.filter(task__round=round_).aggregate(sum=Sum("token_count"))
    rounds.cancel_round(round_id=round_.pk, actor_id=ada.pk)
    return float(written["sum"]) / seconds


def _state(round_: Round) -> str:
    return Round.objects.values_list("state", flat=True).get(pk=round_.pk)


async def straight(bodies: Sequence[dict[str, Any]], at_a_time: int) -> float:
    """Tokens a second of the same requests without anything around them."""
    gate = asyncio.Semaphore(at_a_time)
    headers = {"Authorization": f"Bearer {settings.INFERENCE_API_KEY}"}
    async with httpx.AsyncClient(
        base_url=settings.INFERENCE_URLS[0], headers=headers, timeout=PATIENCE_S, trust_env=False
    ) as client:

        async def ask(body: dict[str, Any]) -> int:
            async with gate:
                reply = await client.post("/v1/chat/completions", json=body)
                reply.raise_for_status()
                return int(reply.json()["usage"]["completion_tokens"])

        began = time.monotonic()
        tokens = await asyncio.gather(*(ask(body) for body in bodies))
        return sum(tokens) / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    with machine.stores(), services.local_vllm(), machine.jobs("worker", "generator", "beat"):
        wait("vLLM", lambda: inference_state()["state"] == "ready")
        figures = compare(options)
    print(json.dumps(figures))


def compare(options: argparse.Namespace) -> dict[str, float]:
    """Alternate, so that a slow minute of the machine hits both."""
    ada = cast.person("ada")
    project = create_project(actor_id=ada.pk, slug="bench", name="Bench")
    prompts = cast.add_prompts(project, options.prompts)
    model = ServedModel.objects.get(kind=ServedModel.Kind.BASE)
    sampling = Sampling(0.8, 0.95, options.max_tokens)
    bodies = [
        CompletionRequest(
            model.name,
            with_documents(prompt.messages, prompt.documents),
            sampling,
            options.k,
        ).body()
        for prompt in prompts
    ]
    at_a_time = max(1, settings.INFERENCE_CONCURRENCY // options.k)
    asyncio.run(straight(bodies[: 2 * at_a_time], at_a_time))  # warm
    ours, bare = [], []
    for _ in range(options.turns):
        bare.append(asyncio.run(straight(bodies, at_a_time)))
        ours.append(through_a_round(project, ada, model, options.k, options.max_tokens))
        print(f"straight {bare[-1]:.1f} tokens/s, through a round {ours[-1]:.1f} tokens/s")
    return {
        "ratio": round(sum(ours) / sum(bare), 3),
        "tokens_per_s": round(sum(ours) / len(ours), 1),
        "straight_tokens_per_s": round(sum(bare) / len(bare), 1),
    }


if __name__ == "__main__":
    main()
