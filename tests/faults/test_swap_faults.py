"""The real vLLM dies in the middle of a promotion: the former model stays, the new one follows."""

import asyncio
from pathlib import Path

import pytest
from django.conf import settings

from annotate.environment import BUNDLED_MODEL
from annotate.launch.child import Child
from annotate.models import Project, User
from inference.completions import CompletionResult, Sampling
from inference.queries import inference_state, ready_endpoints
from inference.routing import Pool
from tests import services
from tests.faults.breaking import wait
from tests.inference.adapter_folders import write_adapter
from tests.promotion.adapters import trained_adapter
from training.models import Promotion, TrainedAdapter
from training.queries import promotions as reads
from training.services import promotions

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.vllm,
]
LAYERS, WIDTH = 30, 576  # of the bundled model


@pytest.fixture
def red_and_blue(project: Project, tmp_path: Path) -> list[TrainedAdapter]:
    ada = User.objects.get(username="ada")
    folders = [
        write_adapter(
            tmp_path / name,
            seed=seed,
            base_name=BUNDLED_MODEL,
            layers=LAYERS,
            width=WIDTH,
            scale=0.02,
        )
        for seed, name in enumerate(("red", "blue"))
    ]
    return [trained_adapter(folder, project, ada, base=BUNDLED_MODEL) for folder in folders]


def promote(adapter: TrainedAdapter) -> Promotion:
    return promotions.promote(project_id=adapter.project_id, actor_id=None, adapter_id=adapter.pk)


def state(promotion: Promotion) -> str:
    promotion.refresh_from_db()
    return promotion.state


def ask() -> CompletionResult:
    endpoints = ready_endpoints()
    messages = [{"role": "user", "content": "Name three colours."}]

    async def run() -> CompletionResult:
        async with Pool(endpoints, api_key=settings.INFERENCE_API_KEY) as pool:
            return (await pool.complete("tone/current", messages, Sampling(0.0, 1.0, 8)))[0]

    return asyncio.run(run())


def test_vllm_dies_during_a_promotion(
    project: Project,
    red_and_blue: list[TrainedAdapter],
    worker: Child,
    beat: Child,
    vllm: Child,
) -> None:
    red, blue = red_and_blue
    wait("the model", lambda: inference_state()["state"] == "ready")
    first = promote(red)
    wait("the first promotion", lambda: state(first) == "done")
    assert ask().adapter_hash == red.content_hash

    second = promote(blue)
    wait("the swap to begin", lambda: state(second) == "swapping")
    vllm.kill()
    wait("the setback", lambda: state(second) == "queued")
    assert second.message
    assert reads.current(project.pk) == red

    vllm.start()
    services.wait_until_ready(vllm)
    wait("the second promotion", lambda: state(second) == "done")
    assert reads.current(project.pk) == blue
    assert ask().adapter_hash == blue.content_hash
