"""Brings adapters onto one replica and proves that every name there answers as itself.

The caller holds the lock `examination.at_work`, so that nobody else changes or tests the replica.
"""

import asyncio
import logging
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from inference import adapter_store, examination, places, vitals
from inference.adapter_files import RANKS, copy_adapter, read_adapter
from inference.client import ReplicaClient
from inference.completions import CompletionRequest, Sampling
from inference.errors import InferenceError, SwapRefused
from inference.models import Adapter, Replica, Serving
from inference.replicas import Sighting, client_of, look_again
from inference.zero import ZeroReplaced, make_zero

log = logging.getLogger(__name__)

PROBE_EVERY = timedelta(minutes=1)
PROVEN_FOR = 3 * PROBE_EVERY  # a swap need not wait for a probe that the reconciler just made
SEEN_FOR = timedelta(seconds=10)  # a check is every five
PROBE_DEADLINE_S = 30.0
IDLE_WAIT_S = 10.0  # a swap under load does not wait for silence


def bring(replica: Replica, adapters: Sequence[Adapter]) -> None:
    """Load those that are missing, in order, and verify all. What was there keeps its verdict.

    Raises SwapRefused or InferenceError; the replica then serves what it served before.
    """
    if are_proven(replica, adapters):
        return
    sighting = look_again(replica)
    missing = [adapter for adapter in adapters if not _listed(adapter, sighting)]
    if missing:
        _make_room(replica, sighting, missing)
    loaded: list[Adapter] = []
    try:
        for adapter in missing:
            folder = folder_of(adapter)
            loaded.append(adapter)  # an answer that is lost may still mean that it was loaded
            _load(replica, adapter, folder)
        sighting = look_again(replica) if missing else sighting
        for adapter in adapters:
            if not _listed(adapter, sighting):
                raise SwapRefused(
                    f"{replica.name} says that it loaded {adapter} but does not list it. "
                    "Restart that server."
                )
        _verify(replica, adapters)
    except (SwapRefused, InferenceError):
        _take_back(replica, loaded)
        raise


def are_proven(replica: Replica, adapters: Sequence[Adapter]) -> bool:
    """Whether a check of just now saw them there, and each passed its test and answered lately.

    A replica that went away since then is the same to the reconciler as one that goes away after
    the swap.
    """
    now = timezone.now()
    seen = replica.checked_at is not None and replica.checked_at > now - SEEN_FOR
    names = {str(adapter) for adapter in adapters}
    proven = replica.servings.filter(
        served_model__name__in=names,
        present=True,
        selftest=Serving.Selftest.PASSED,
        probed_at__gt=now - PROVEN_FOR,
    )
    return seen and replica.misses == 0 and proven.count() == len(names)


def unload(replica: Replica, adapter: Adapter) -> None:
    """Raises InferenceError; one that the replica does not have is no error."""

    async def ask() -> None:
        async with client_of(replica) as client:
            await client.unload_adapter(str(adapter))

    try:
        asyncio.run(ask())
    except InferenceError as error:
        if "cannot be found" not in error.detail:
            raise


def probe(replica: Replica, name: str) -> None:
    """One token by the served name. Raises InferenceError."""
    error = probe_all(replica, [name])[name]
    if error is not None:
        raise error


def probe_all(replica: Replica, names: Sequence[str]) -> dict[str, InferenceError | None]:
    """One token by each of the served names, all at once; what went wrong, by name."""

    async def ask(client: ReplicaClient, name: str) -> InferenceError | None:
        request = CompletionRequest(
            model=name,
            messages=[{"role": "user", "content": "Name a colour."}],
            sampling=Sampling(temperature=0.0, top_p=1.0, max_tokens=1),
            deadline_s=PROBE_DEADLINE_S,
        )
        try:
            await client.complete(request)
        except InferenceError as error:
            return error
        return None

    async def ask_all() -> list[InferenceError | None]:
        async with client_of(replica) as client:
            return await asyncio.gather(*(ask(client, name) for name in names))

    found = dict(zip(names, asyncio.run(ask_all()), strict=True))
    well = [name for name, error in found.items() if error is None]
    replica.servings.filter(served_model__name__in=well).update(probed_at=timezone.now())
    return found


def folder_of(adapter: Adapter) -> Path:
    """The checked copy that the replicas read; made anew if it is missing or was changed.

    Raises SwapRefused, OSError when it cannot be copied there.
    """
    copy = Path(settings.INFERENCE_ADAPTER_FOLDER) / adapter.content_hash
    try:
        if read_adapter(copy).content_hash == adapter.content_hash:
            return copy
    except SwapRefused as problem:
        if copy.exists():
            log.error("%s", problem)
    if not adapter.zero:
        copy_adapter(adapter_store.fetched(adapter.content_hash), copy)
    elif make_zero(adapter.base) != adapter:
        raise ZeroReplaced(adapter)
    return copy


def _listed(adapter: Adapter, sighting: Sighting) -> bool:
    return str(adapter) in {card.name for card in sighting.cards}


def _make_room(replica: Replica, sighting: Sighting, missing: Sequence[Adapter]) -> None:
    """Raises SwapRefused when there is none."""
    if vitals.adapter_places(sighting.metrics) is None:  # vLLM tells after its first request
        probe(replica, missing[0].base)
        sighting = look_again(replica)
    leaving = places.givers(replica, sighting, missing)
    for adapter in leaving:
        log.info("%s gives its place on %s away", adapter, replica.name)
        unload(replica, adapter)
    if leaving:
        look_again(replica)


def _load(replica: Replica, adapter: Adapter, folder: Path) -> None:
    async def ask() -> None:
        async with client_of(replica) as client:
            await client.load_adapter(str(adapter), str(folder))

    try:
        asyncio.run(ask())
    except InferenceError as error:
        if "already been loaded" in error.detail:
            return
        if error.replica_is_away or error.code == "timeout":
            raise
        raise SwapRefused(_why_not_loaded(replica, adapter, error)) from error


def _why_not_loaded(replica: Replica, adapter: Adapter, error: InferenceError) -> str:
    if "HTTP 404: Not Found" in error.detail:
        return (
            f"{replica.name} takes no adapters while it runs. Start it with --enable-lora and "
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True (INFERENCE_ADAPTERS for the local server)."
        )
    if allowed := re.search(r"greater than max_lora_rank (\d+)", error.detail):
        enough = next(rank for rank in RANKS if rank >= adapter.rank)
        return (
            f"{adapter} has rank {adapter.rank}, {replica.name} takes at most {allowed[1]}. "
            f"Start it with --max-lora-rank {enough} and set INFERENCE_ADAPTER_RANK to that."
        )
    return f"{replica.name} did not load {adapter}: {error.detail}"


def _verify(replica: Replica, adapters: Sequence[Adapter]) -> None:
    """By a probe what passed before, by the mixed-batch self-test what did not."""
    before = _verdicts(replica)
    if all(before.get(str(adapter)) == Serving.Selftest.PASSED for adapter in adapters):
        for adapter in adapters:
            if _is_due(replica, adapter):
                probe(replica, str(adapter))
        return
    replica.refresh_from_db()
    found = examination.examine(replica, idle_wait_s=IDLE_WAIT_S)
    through_zero = examination.zero_adapters().values()
    for name, verdict in found.items():
        known = before.get(name) == Serving.Selftest.PASSED and name not in through_zero
        if verdict.passed is False and known:
            raise SwapRefused(f'On {replica.name}, "{name}" would suffer: {verdict.detail}')
    after = _verdicts(replica)
    for adapter in adapters:
        if after.get(str(adapter)) != Serving.Selftest.PASSED:
            detail = (
                found[str(adapter)].detail if str(adapter) in found else "It changed meanwhile."
            )
            raise SwapRefused(f"{adapter} did not pass its test on {replica.name}: {detail}")


def _verdicts(replica: Replica) -> dict[str, str]:
    servings = replica.servings.filter(present=True)
    return dict(servings.values_list("served_model__name", "selftest"))


def _is_due(replica: Replica, adapter: Adapter) -> bool:
    recent = timezone.now() - PROVEN_FOR
    return not replica.servings.filter(
        served_model=adapter.served_model_id, probed_at__gt=recent
    ).exists()


def _take_back(replica: Replica, loaded: Sequence[Adapter]) -> None:
    try:
        for adapter in loaded:
            unload(replica, adapter)
        if loaded:
            look_again(replica)
    except InferenceError as error:
        log.warning("%s keeps what a failed swap loaded until it is mended: %s", replica, error)
