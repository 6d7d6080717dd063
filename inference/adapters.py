"""Swapping adapters without dropping a request: register, serve, roll back.

Each is loaded and proven on every ready replica, then the pointer is flipped. The reconciler
(inference/reconcile.py) unloads the old one when its requests have ended, and deletes its copy one
swap later. A swap takes seconds: call it from a job, outside of a transaction.
"""

import logging
import time
from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from inference import adapter_files, adapter_store
from inference.adapter_files import HASH_SHOWN, RANKS
from inference.errors import InferenceError, NoReplica, SwapRefused
from inference.examination import at_work
from inference.loading import are_proven, bring, folder_of, unload
from inference.locks import lock_within
from inference.models import Adapter, ModelAlias, Replica, ServedModel, Serving
from inference.queries import bases_offered
from inference.replicas import look_again
from inference.zero import current_zero, make_zero

log = logging.getLogger(__name__)

SWAP = "inference.swap"
SWAP_WAIT_S = 1.0  # the reconciler holds the lock for moments
REPLICA_WAIT_S = 120.0  # a self-test under way
SERVED_WAIT_S = 15.0  # a check is every five; it may come back


def register_adapter(*, content_hash: str, base: str) -> Adapter:
    """Know the stored adapter as one of the served base model `base`. Safe to run twice.

    Raises SwapRefused, OSError when it cannot be copied here.
    """
    files = adapter_store.fetched(content_hash)
    served = ServedModel.objects.filter(name=base, kind=ServedModel.Kind.BASE).first()
    if served is None:
        raise SwapRefused(f'No inference server has served a base model "{base}" yet.')
    if adapter_files.REWARD_HEAD in files.card["files"]:
        raise SwapRefused("A reward model writes no answers: it is not served.", permanent=True)
    if files.rank > RANKS[-1]:
        raise SwapRefused(
            f"The adapter has rank {files.rank}; vLLM serves at most {RANKS[-1]}.", permanent=True
        )
    if not _is_for(files.card["base_name"], served):
        raise SwapRefused(
            f'The adapter was trained on "{files.card["base_name"]}", not on "{base}".',
            permanent=True,
        )
    return _known(files, base)


def loaded_adapter(*, content_hash: str, base: str) -> int | None:
    """Id of an adapter that the replicas still have: its files need not be brought again."""
    loaded = [Adapter.State.SERVING, Adapter.State.RETIRED]
    adapters = Adapter.objects.filter(content_hash=content_hash, base=base, state__in=loaded)
    return adapters.values_list("pk", flat=True).first()


def _is_for(base_name: str, served: ServedModel) -> bool:
    roots = served.servings.values_list("root", flat=True)
    return base_name.split("/")[-1] in {name.split("/")[-1] for name in (served.name, *roots)}


@transaction.atomic
def _known(files: adapter_files.AdapterFiles, base: str) -> Adapter:
    served_model, _ = ServedModel.objects.get_or_create(
        name=f"{base}@{files.content_hash[:HASH_SHOWN]}",
        defaults={"kind": ServedModel.Kind.ADAPTER, "parent": base},
    )
    template = str(files.card["template"])[:64]
    adapter, _ = Adapter.objects.update_or_create(
        content_hash=files.content_hash,
        defaults={"template": template},
        create_defaults={
            "base": base,
            "rank": files.rank,
            "template": template,
            "served_model": served_model,
        },
    )
    return adapter


def serve_adapter(
    *,
    alias: str,
    base: str,
    adapter_id: int | None,
    beside: Callable[[], object] = lambda: None,
) -> ModelAlias:
    """Let `alias` mean this adapter, or the base itself, on every ready replica.

    Returns when the next request gets the new one. Raises SwapRefused, after which everything
    is as it was. beside: what is written in the same transaction as the alias.
    """
    with lock_within(SWAP, SWAP_WAIT_S) as held:
        if not held:
            raise SwapRefused(
                "Another adapter is just being swapped in. Try again when that has ended."
            )
        adapter = None if adapter_id is None else Adapter.objects.get(pk=adapter_id)
        _check(alias, base, adapter)
        if adapter is not None:
            _load_everywhere(adapter)
        return _flip(alias, base, adapter, beside)


def roll_back(*, alias: str) -> ModelAlias:
    """Let `alias` mean again what it meant before its last swap. Raises SwapRefused."""
    row = ModelAlias.objects.filter(name=alias).first()
    if row is None:
        raise SwapRefused(f'Nothing was ever served as "{alias}".', permanent=True)
    return serve_adapter(alias=alias, base=row.base, adapter_id=row.previous_id)


def drop_alias(*, alias: str) -> None:
    """Forget the name; an adapter that no other alias means is unloaded."""
    with transaction.atomic():
        row = ModelAlias.objects.select_for_update().filter(name=alias).first()
        if row is not None:
            row.delete()
            _retire(row.current)


def _check(alias: str, base: str, adapter: Adapter | None) -> None:
    if ServedModel.objects.filter(name=alias).exists():
        raise SwapRefused(f'"{alias}" is a model of its own. Choose another name.', permanent=True)
    other = ModelAlias.objects.filter(name=alias).exclude(base=base).first()
    # Else another model has taken its place on the servers, and the alias moves to that.
    if other is not None and other.base in bases_offered():
        raise SwapRefused(f'"{alias}" stands for models over another base.', permanent=True)
    if adapter is not None and (adapter.base != base or adapter.zero):
        raise SwapRefused(f'{adapter} is no adapter of "{base}".', permanent=True)


def _load_everywhere(adapter: Adapter) -> None:
    """On every ready replica or on none."""
    before, ready = adapter.state, _ready(adapter)
    zero = current_zero(adapter.base)
    if zero is None or not all(are_proven(replica, [zero, adapter]) for replica in ready):
        folder_of(adapter)  # refused before anything is loaded
        zero = zero or make_zero(adapter.base)
    with transaction.atomic():
        for left in Adapter.objects.filter(state=Adapter.State.LOADING):  # by a killed process
            _retire(left)
        if before != Adapter.State.SERVING:
            Adapter.objects.filter(pk=adapter.pk).update(state=Adapter.State.LOADING)
    done: list[Replica] = []
    try:
        for replica in ready:
            with lock_within(at_work(replica.pk), REPLICA_WAIT_S) as held:
                if not held:
                    raise SwapRefused(f"{replica.name} is being tested for long. Try again later.")
                bring(replica, [zero, adapter])
            done.append(replica)
        _need_served(adapter)
    except (SwapRefused, InferenceError) as error:
        if before != Adapter.State.SERVING:
            _undo(adapter, done)
        if isinstance(error, InferenceError):
            raise SwapRefused(f"{adapter} was not swapped in: {error.summary}") from error
        raise


def _need_served(adapter: Adapter) -> None:
    """What is said to be served is: a replica may have gone away since it passed its test."""
    here = adapter.served_model.servings.filter(
        present=True,
        selftest=Serving.Selftest.PASSED,
        replica__enabled=True,
        replica__state=Replica.State.READY,
    )
    limit = time.monotonic() + SERVED_WAIT_S
    while not here.exists():
        if time.monotonic() > limit:
            reason = f"No inference server that loaded {adapter} answers now. Try again later."
            raise SwapRefused(reason)
        time.sleep(0.1)


def _ready(adapter: Adapter) -> list[Replica]:
    ready = Replica.objects.filter(
        enabled=True,
        state=Replica.State.READY,
        servings__present=True,
        servings__served_model__name=adapter.base,
    )
    if not ready:
        raise SwapRefused(f"{adapter} was not swapped in: {NoReplica(adapter.base).summary}")
    return list(ready.order_by("pk"))


def _undo(adapter: Adapter, done: list[Replica]) -> None:
    """The reconciler does what cannot be done now."""
    for replica in done:
        try:
            with lock_within(at_work(replica.pk), SWAP_WAIT_S) as held:
                if held:
                    unload(replica, adapter)
                    look_again(replica)
        except InferenceError as error:
            log.warning("%s", error)
    _retire(adapter)


@transaction.atomic
def _flip(
    alias: str, base: str, adapter: Adapter | None, beside: Callable[[], object]
) -> ModelAlias:
    row, _ = ModelAlias.objects.select_for_update().get_or_create(
        name=alias, defaults={"base": base}
    )
    old = row.current
    if adapter is not None:
        adapter.state, adapter.retired_at = Adapter.State.SERVING, None
        adapter.asked_at = timezone.now()  # so that it is not the next to give its place away
        adapter.save(update_fields=["state", "retired_at", "asked_at"])
    if old != adapter or row.base != base:
        row.previous, row.current = (old if row.base == base else None), adapter
        row.base = base
        row.save()
        _retire(old)
    beside()
    return row


def _retire(adapter: Adapter | None) -> None:
    if adapter is not None and not ModelAlias.objects.filter(current=adapter).exists():
        Adapter.objects.filter(pk=adapter.pk).update(
            state=Adapter.State.RETIRED, retired_at=timezone.now()
        )
