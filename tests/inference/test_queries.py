"""What the rest of Prefloop and its people learn about inference."""

import asyncio
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from inference import queries
from inference.completions import Sampling
from inference.examination import selftest_replica
from inference.models import Replica, ServedModel
from inference.replicas import check_replicas
from tests.inference.fake_vllm import FakeVllm

pytestmark = pytest.mark.django_db


def check_and_test() -> None:
    for replica_id in check_replicas():
        selftest_replica(replica_id)


def test_before_the_first_check_the_worker_is_missing() -> None:
    assert queries.inference_state()["state"] == "down"


def test_loading_then_ready_then_down(configured: FakeVllm) -> None:
    check_replicas()
    assert queries.inference_state()["state"] == "loading"
    check_and_test()
    assert queries.inference_state()["state"] == "ready"
    configured.__exit__()
    check_replicas()
    state = queries.inference_state()
    assert (state["state"], state["replicas"][0]["state"]) == ("down", "down")
    assert "not running" in state["message"]


def test_one_ready_replica_is_enough(configured: FakeVllm, settings: Settings) -> None:
    settings.INFERENCE_URLS = ["http://127.0.0.1:9", configured.url]
    check_and_test()
    state = queries.inference_state()
    assert state["state"] == "ready"
    assert [replica["state"] for replica in state["replicas"]] == ["loading", "ready"]


def test_checks_that_stopped_are_told(configured: FakeVllm) -> None:
    check_and_test()
    Replica.objects.update(checked_at=timezone.now() - timedelta(minutes=3))
    state = queries.inference_state()
    assert state["state"] == "failing"
    assert "worker" in state["message"]


def test_the_detail_names_what_is_served(configured: FakeVllm) -> None:
    configured.models |= {"red": "base"}
    configured.mixes_up, configured.delay_s = True, 0.05
    check_and_test()
    [replica] = queries.inference_detail()["replicas"]
    assert replica["url"] == configured.url
    assert [(s["name"], s["kind"], s["selftest"]) for s in replica["served"]] == [
        ("base", "base", "failed"),
        ("red", "adapter", "passed"),
    ]
    assert "instead of itself" in replica["served"][0]["detail"]


def test_models_say_whether_they_can_be_had(configured: FakeVllm) -> None:
    ServedModel.objects.create(name="gone", kind="base")
    configured.models |= {"red": "base"}
    configured.mixes_up, configured.delay_s = True, 0.05
    check_and_test()
    rows = {row.name: row for row in queries.available_models()}
    assert [row.name for row in queries.available_models()] == ["red", "base", "gone"]
    assert rows["red"].available
    assert rows["red"].message == ""
    assert "instead of itself" in rows["base"].message
    assert rows["gone"].message == "No inference server serves it now."


def test_only_names_that_passed_are_routed_to(configured: FakeVllm) -> None:
    configured.models |= {"red": "base"}
    configured.mixes_up, configured.delay_s = True, 0.05
    check_replicas()
    assert queries.ready_endpoints() == []
    check_and_test()
    [endpoint] = queries.ready_endpoints()
    assert endpoint.models == {"red"}
    assert len(endpoint.chat_template_hash) == 64


def test_the_pool_asks_what_is_ready(configured: FakeVllm) -> None:
    check_and_test()
    pool = queries.ready_pool()

    async def ask() -> str:
        async with pool:
            [result] = await pool.complete(
                "base", [{"role": "user", "content": "Hello"}], Sampling(1.0, 1.0, 8)
            )
            return result.text

    assert asyncio.run(ask()) == "base says 0"
