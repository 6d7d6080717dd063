"""What an admin and the regular checks do, in the words of a test."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import F
from django.utils import timezone
from pytest_django.fixtures import Settings

from inference import queries, reconcile
from inference.adapters import serve_adapter
from inference.completions import CompletionResult, Sampling
from inference.errors import SwapRefused
from inference.examination import selftest_replica
from inference.models import Adapter, ModelAlias, Serving
from inference.replicas import check_replicas
from inference.routing import Pool

HELLO = [{"role": "user", "content": "Hello"}]
SAMPLING = Sampling(temperature=0.8, top_p=0.95, max_tokens=16)


def look() -> None:
    """What the regular check does, to the end."""
    for replica_id in check_replicas():
        selftest_replica(replica_id)
    for replica_id in reconcile.replicas_to_mend():
        reconcile.mend_replica(replica_id)
    reconcile.tidy()


def serve(adapter: Adapter | None) -> ModelAlias:
    adapter_id = None if adapter is None else adapter.pk
    return serve_adapter(alias="helper", base="base", adapter_id=adapter_id)


def refusal(adapter: Adapter) -> str:
    with pytest.raises(SwapRefused) as caught:
        serve(adapter)
    return str(caught.value)


def ask(model: str = "helper") -> CompletionResult:
    async def run() -> CompletionResult:
        async with Pool(endpoints) as pool:
            return (await pool.complete(model, HELLO, SAMPLING))[0]

    endpoints = queries.ready_endpoints()
    return asyncio.run(run())


def answering(model: str = "helper") -> str:
    return ask(model).model


def age(since: timedelta = timedelta(hours=1)) -> None:
    """Let time pass for what waits."""
    past = timezone.now() - since
    Adapter.objects.filter(state="retired").update(retired_at=past)
    Adapter.objects.filter(asked_at__isnull=False).update(asked_at=F("asked_at") - since)
    Serving.objects.filter(probed_at__isnull=False).update(probed_at=past)


def state(adapter: Adapter) -> str:
    adapter.refresh_from_db()
    return adapter.state


def copy_of(adapter: Adapter, settings: Settings) -> Path:
    return Path(settings.INFERENCE_ADAPTER_FOLDER) / adapter.content_hash


def zero() -> str:
    return str(Adapter.objects.get(zero=True))
