"""Keeps what the database says about replicas in step with what the replicas say.

`check_replicas` runs every few seconds, never waits long, and may be started any number of times;
the self-test of a replica takes longer and runs on its own (`examination`).
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from inference import vitals
from inference.client import ReplicaClient, is_loopback
from inference.completions import Endpoint, ModelCard
from inference.errors import InferenceError
from inference.locks import try_lock
from inference.models import Adapter, Replica, ServedModel, Serving

log = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=15)  # a server that has not answered for so long is not loading
MISSES_ALLOWED = 2  # on a busy machine a check may time out
RETEST_AFTER = timedelta(minutes=10)  # what failed its self-test gets another chance


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one check saw: an error, or the served names and who serves them. at: its beginning."""

    error: InferenceError | None = None
    cards: tuple[ModelCard, ...] = ()
    start_id: str = ""
    metrics: str = ""
    at: datetime = field(default_factory=timezone.now)


def sync_replicas(urls: Sequence[str], *, starting: bool = False) -> None:
    """Make the enabled replicas those at `urls`. Others stay as a record but are not used.

    starting: the servers are just being started, so that a refused connection means "loading".
    """
    wanted = [url.rstrip("/") for url in urls]
    awaited = {"state": Replica.State.LOADING, "message": "", "awaited_since": timezone.now()}
    with transaction.atomic():
        Replica.objects.exclude(url__in=wanted).filter(enabled=True).update(enabled=False)
        Replica.objects.filter(url__in=wanted, enabled=False).update(enabled=True, **awaited)
        for url in wanted:
            Replica.objects.get_or_create(
                url=url,
                defaults={
                    "name": url.removeprefix("http://"),
                    "local": is_loopback(url),
                    **awaited,
                },
            )
        if starting:
            Replica.objects.filter(url__in=wanted).update(misses=0, **awaited)


def check_replicas() -> list[int]:
    """Look at every configured replica once. Returns the ids of those that want a self-test.

    Does nothing while another process is at it.
    """
    with try_lock("inference.check_replicas") as held:
        if not held:
            return []
        sync_replicas(settings.INFERENCE_URLS)
        replicas = list(Replica.objects.filter(enabled=True))
        sightings = asyncio.run(_look_at_all(replicas))
        for replica, sighting in zip(replicas, sightings, strict=True):
            record(replica.pk, sighting)
        answered = [r.pk for r, seen in zip(replicas, sightings, strict=True) if not seen.error]
    return list(
        Replica.objects.filter(
            pk__in=answered,
            servings__present=True,
            servings__selftest=Serving.Selftest.PENDING,
        )
        .distinct()
        .values_list("pk", flat=True)
    )


async def _look_at_all(replicas: Sequence[Replica]) -> list[Sighting]:
    return await asyncio.gather(*(_look_at(replica) for replica in replicas))


async def _look_at(replica: Replica) -> Sighting:
    at = timezone.now()
    async with client_of(replica) as client:
        try:
            await client.check_health()
            cards = await client.models()
            metrics = await client.metrics()
        except InferenceError as error:
            return Sighting(error=error, at=at)
    return Sighting(None, tuple(cards), vitals.start_id(metrics), metrics, at)


def look_again(replica: Replica) -> Sighting:
    """See what one replica serves now and write it down. Raises InferenceError."""
    sighting = asyncio.run(_look_at(replica))
    record(replica.pk, sighting)
    if sighting.error is not None:
        raise sighting.error
    return sighting


@transaction.atomic
def record(replica_id: int, sighting: Sighting) -> None:
    """Write down what a check saw, and mark for the self-test what changed.

    One that began before the last one written down would bring back what was before a swap.
    """
    replica = Replica.objects.select_for_update().get(pk=replica_id)
    if replica.checked_at is not None and sighting.at < replica.checked_at:
        return
    replica.checked_at = sighting.at
    if sighting.error is not None:
        _record_error(replica, sighting.error)
    else:
        _record_served(replica, sighting)
        settle(replica)
    replica.save()


def _record_error(replica: Replica, error: InferenceError) -> None:
    log.info("Replica %s: %s", replica.name, error)
    if error.code == "timeout" and replica.misses < MISSES_ALLOWED:
        replica.misses += 1
        return
    if error.code != "unreachable":
        replica.state, replica.message = Replica.State.FAILING, error.summary
        return
    replica.start_id = ""  # whoever answers next is somebody else
    since = replica.awaited_since
    if since is not None and timezone.now() - since < PATIENCE:
        replica.state = Replica.State.LOADING
        replica.message = (
            "The model is loading."
            if replica.local
            else f"Waiting for the inference server {replica.name} to answer."
        )
        return
    replica.state = Replica.State.DOWN
    replica.message = (
        "The local model server is not running. It is started again by itself; "
        "if that does not help, its log says why."
        if replica.local
        else f"The inference server {replica.name} cannot be reached. Start it, "
        "or correct INFERENCE_URL."
    )


def _record_served(replica: Replica, sighting: Sighting) -> None:
    start_id = sighting.start_id[:64] or replica.start_id or f"seen {timezone.now().isoformat()}"
    restarted = start_id != replica.start_id
    replica.start_id, replica.awaited_since, replica.misses = start_id, None, 0
    replica.max_model_len = max((c.max_model_len or 0 for c in sighting.cards), default=0) or None
    said = vitals.adapter_places(sighting.metrics)  # not before its first request
    replica.places = said if said is not None or restarted else replica.places
    known = {s.served_model.name: s for s in replica.servings.select_related("served_model")}
    present = {name: serving.root for name, serving in known.items() if serving.present}
    offered = {card.name: card.root for card in sighting.cards}
    for name in present.keys() - offered.keys():
        _absent(known[name])
    changed = {name for name in present | offered if present.get(name) != offered.get(name)}
    # A swap proves that the adapter it adds leaves the others as they were.
    ours = set(Adapter.objects.values_list("served_model__name", flat=True))
    if restarted or changed - ours:
        changed = set(offered)
    if changed:
        for card in sighting.cards:
            if card.name in changed:
                _present(replica, card, known.get(card.name))
        return
    now = timezone.now()
    replica.servings.filter(
        present=True, selftest=Serving.Selftest.FAILED, tested_at__lt=now - RETEST_AFTER
    ).update(selftest=Serving.Selftest.PENDING)


def _absent(serving: Serving) -> None:
    serving.present, serving.selftest, serving.detail = False, Serving.Selftest.PENDING, ""
    serving.leaving_at = None
    serving.save()


def _present(replica: Replica, card: ModelCard, serving: Serving | None) -> None:
    """The name is offered by a changed replica: it waits for the self-test, or is refused."""
    kind = ServedModel.Kind.ADAPTER if card.parent else ServedModel.Kind.BASE
    served_model, _ = ServedModel.objects.get_or_create(
        name=card.name, defaults={"kind": kind, "parent": card.parent}
    )
    serving = serving or Serving(replica=replica, served_model=served_model)
    serving.present, serving.root, serving.tested_at = True, card.root, None
    serving.selftest, serving.detail = Serving.Selftest.PENDING, ""
    if (served_model.kind, served_model.parent) != (kind, card.parent):
        serving.selftest, serving.tested_at = Serving.Selftest.FAILED, timezone.now()
        serving.detail = (
            f"The name already stands for {_described(served_model.kind, served_model.parent)}, "
            f"here it is {_described(kind, card.parent)}. Serve it under another name."
        )
    serving.save()


def _described(kind: str, parent: str) -> str:
    return f'an adapter of "{parent}"' if kind == ServedModel.Kind.ADAPTER else "a base model"


def settle(replica: Replica) -> None:
    """The state of a replica that answers follows from the self-tests of what it serves."""
    servings = list(replica.servings.filter(present=True).select_related("served_model"))
    tests = {serving.selftest for serving in servings}
    refused = [s for s in [*servings, *_lacking(replica)] if s.selftest == Serving.Selftest.FAILED]
    complaint = " ".join(f'"{s.served_model.name}": {s.detail}' for s in refused)
    if not servings:
        replica.state = Replica.State.FAILING
        replica.message = f"The inference server {replica.name} serves no model."
    elif Serving.Selftest.PASSED in tests:
        replica.state, replica.message = Replica.State.READY, complaint
    elif Serving.Selftest.PENDING in tests:
        waiting = next((s.detail for s in servings if s.detail), "")
        replica.state = Replica.State.LOADING
        replica.message = waiting or "Checking that each model answers as itself."
    else:
        replica.state, replica.message = Replica.State.FAILING, complaint


def _lacking(replica: Replica) -> list[Serving]:
    """Adapters that should be served here and could not be loaded."""
    lacking = replica.servings.filter(
        present=False, served_model__adapter__state=Adapter.State.SERVING
    )
    return list(lacking.select_related("served_model"))


def client_of(replica: Replica) -> ReplicaClient:
    endpoint = Endpoint(
        name=replica.name,
        url=replica.url,
        chat_template_kwargs=settings.CHAT_TEMPLATE_KWARGS,
    )
    return ReplicaClient(endpoint, api_key=settings.INFERENCE_API_KEY)
