"""Mends the difference between what should be served and what each replica serves.

A replica comes back empty, lags behind a swap, or lists an adapter that no longer answers. What
cannot be mended is not used there, and its serving says why. All of it is safe to run twice.
"""

import logging
import shutil
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from inference import places, vitals
from inference.adapter_files import CARD
from inference.adapters import SWAP
from inference.errors import InferenceError, SwapRefused
from inference.examination import at_work
from inference.loading import PROBE_EVERY, bring, folder_of, probe_all, unload
from inference.locks import try_lock
from inference.models import Adapter, ModelAlias, Replica, ServedModel, Serving
from inference.places import DRAIN, NoPlace
from inference.replicas import Sighting, look_again

log = logging.getLogger(__name__)

RETRY_LOAD = timedelta(minutes=1)
KEPT_FOR = timedelta(minutes=10)  # copies of what was asked: somebody may be loading it
RELOADS = 1  # of an adapter that fails; then it waits for the next self-test
ALIVE = [Replica.State.READY, Replica.State.LOADING, Replica.State.FAILING]


def replicas_to_mend() -> list[int]:
    """Ids of the replicas that answer and serve something else than they should."""
    alive = Replica.objects.filter(enabled=True, state__in=ALIVE, misses=0).exclude(start_id="")
    return [replica.pk for replica in alive if _due(replica) or _is_out_of_step(replica)]


def mend_replica(replica_id: int) -> None:
    """Probe what it serves; change what it should not, unless it is being tested or swapped on.

    A probe may wait for long on a busy server: it holds up no swap.
    """
    replica = Replica.objects.get(pk=replica_id)
    try:
        liars = _liars(replica)
        if liars or _is_out_of_step(replica):
            with try_lock(at_work(replica_id)) as held:
                if held:
                    _bring_into_step(replica, liars)
    except InferenceError as error:  # it went away; the next check tells
        log.info("%s was not mended: %s", replica.name, error)


def _bring_into_step(replica: Replica, liars: Collection[str]) -> None:
    sighting = look_again(replica)
    _unload_retired(replica, sighting, liars)
    for adapter in _wanted(replica):
        if str(adapter) in liars or _lacks(replica, adapter, timezone.now()):
            _mend(replica, adapter)


def tidy() -> None:
    """Follow up on swaps that ended or were killed; delete copies that nobody will ask for."""
    with try_lock(SWAP) as held:
        if not held:
            return
        now = timezone.now()
        meant = ModelAlias.objects.exclude(current=None).values("current")
        Adapter.objects.filter(
            Q(state=Adapter.State.LOADING) | Q(state=Adapter.State.SERVING, zero=False)
        ).exclude(pk__in=meant).update(state=Adapter.State.RETIRED, retired_at=now)
        served = Serving.objects.filter(present=True, replica__enabled=True).values("served_model")
        unasked = Q(asked_at=None) | Q(asked_at__lt=now - KEPT_FOR)
        Adapter.objects.filter(state=Adapter.State.RETIRED, retired_at__lt=now - DRAIN).exclude(
            served_model__in=served
        ).update(state=Adapter.State.UNLOADED)
        kept = ModelAlias.objects.exclude(previous=None).values("previous")
        unloaded = Adapter.objects.filter(unasked, state=Adapter.State.UNLOADED)
        for adapter in unloaded.exclude(pk__in=kept):
            shutil.rmtree(Path(settings.INFERENCE_ADAPTER_FOLDER) / adapter.content_hash, True)
            adapter.state = Adapter.State.STORED
            adapter.save(update_fields=["state"])
        _restore_copies()


def _restore_copies() -> None:
    """Of what is loaded: vLLM reads an adapter anew when it had to put it aside, and ends if its
    files are gone.
    """
    here = Adapter.objects.filter(
        served_model__servings__present=True, served_model__servings__replica__enabled=True
    )
    for adapter in here.distinct():
        place = Path(settings.INFERENCE_ADAPTER_FOLDER) / adapter.content_hash
        if not (place / CARD).is_file():
            try:
                folder_of(adapter)
            except (SwapRefused, OSError) as problem:
                log.warning("The copy of %s cannot be made anew: %s", adapter, problem)


def _wanted(replica: Replica) -> list[Adapter]:
    """What the replica should serve, the zero adapters first; those only beside others.

    Of more adapters than places, those that have one and those that are to get one (`places`).
    """
    bases = replica.servings.filter(present=True).values("served_model__name")
    meant = Q(state=Adapter.State.SERVING) | Q(asked_at__gt=timezone.now() - places.WANTED)
    found = Adapter.objects.filter(meant, base__in=bases).select_related("served_model")
    adapters = [adapter for adapter in found.order_by("pk") if not adapter.zero]
    needed = {adapter.base for adapter in adapters}
    zeros = [adapter for adapter in found if adapter.zero and adapter.base in needed]
    here = set(replica.servings.filter(present=True).values_list("served_model_id", flat=True))
    away = [adapter for adapter in adapters if adapter.served_model_id not in here]
    zero_is_here = all(zero.served_model_id in here for zero in zeros)
    return [
        *zeros,
        *(adapter for adapter in adapters if adapter.served_model_id in here),
        *places.to_bring(replica, away, zero_is_here),
    ]


def _is_out_of_step(replica: Replica) -> bool:
    now = timezone.now()
    lacking = any(_lacks(replica, adapter, now) for adapter in _wanted(replica))
    return lacking or bool(_leavers(replica, now))


def _lacks(replica: Replica, adapter: Adapter, now: datetime) -> bool:
    serving = replica.servings.filter(served_model=adapter.served_model_id).first()
    if serving is None:
        return True
    failed = serving.selftest == Serving.Selftest.FAILED
    if not serving.present:
        return not failed or _before(serving.tested_at, now - RETRY_LOAD)
    return failed and serving.reloads < RELOADS


def _due(replica: Replica) -> list[str]:
    """Names of adapters that passed here and were not asked for a while, retired ones too."""
    asked = Q(probed_at__isnull=True) | Q(probed_at__lt=timezone.now() - PROBE_EVERY)
    passed = replica.servings.filter(
        asked, present=True, selftest=Serving.Selftest.PASSED, served_model__adapter__isnull=False
    )
    return list(passed.order_by("pk").values_list("served_model__name", flat=True))


def _liars(replica: Replica) -> list[str]:
    """Names that the replica lists, but that do not answer. Raises InferenceError."""
    with try_lock(f"inference.probe.{replica.pk}") as held:
        due = _due(replica) if held else []
        found = probe_all(replica, due) if due else {}
    lying = []
    for name, error in found.items():
        if error is None:
            continue
        if error.replica_is_away or error.code == "timeout":
            raise error
        log.warning("%s lists %s, but it does not answer: %s", replica.name, name, error)
        lying.append(name)
    return lying


def _before(time: datetime | None, limit: datetime) -> bool:
    return time is None or time < limit


def _mend(replica: Replica, adapter: Adapter) -> None:
    serving = replica.servings.filter(served_model=adapter.served_model_id).first()
    try:
        if serving is not None and serving.present:
            serving.reloads += 1
            serving.save(update_fields=["reloads"])
            unload(replica, adapter)
            look_again(replica)
        if not adapter.zero:
            _need_zero(replica, adapter.base)
        _keep_copy_of(adapter)
        bring(replica, [adapter])
        log.info("%s serves %s again", replica.name, adapter)
    except NoPlace as refused:  # it is tried again all the time
        log.info("%s waits: %s", adapter, refused)
    except OSError as error:
        _give_up(replica, adapter, SwapRefused(f"Its files cannot be copied: {error}."))
    except (SwapRefused, InferenceError) as error:
        if isinstance(error, InferenceError) and error.replica_is_away:
            raise
        _give_up(replica, adapter, error)


def _keep_copy_of(adapter: Adapter) -> None:
    """One that no alias means, and that is asked all the same: by a round that names it."""
    forgotten = Adapter.objects.filter(
        pk=adapter.pk, state__in=[Adapter.State.STORED, Adapter.State.UNLOADED]
    )
    forgotten.update(state=Adapter.State.RETIRED, retired_at=timezone.now())


def _need_zero(replica: Replica, base: str) -> None:
    """Beside an adapter but without the zero adapter, base requests may get the wrong one."""
    failed = replica.servings.filter(
        served_model__adapter__zero=True,
        served_model__adapter__state=Adapter.State.SERVING,
        served_model__adapter__base=base,
        selftest=Serving.Selftest.FAILED,
    ).first()
    if failed is not None:
        raise SwapRefused(f"The zero adapter of its base is not served: {failed.detail}")


def _give_up(replica: Replica, adapter: Adapter, error: SwapRefused | InferenceError) -> None:
    """Not used here for now; the serving says why."""
    log.warning("%s could not be mended: %s", replica.name, error)
    summary = error.summary if isinstance(error, InferenceError) else str(error)
    Serving.objects.update_or_create(
        replica=replica,
        served_model=adapter.served_model,
        defaults={
            "selftest": Serving.Selftest.FAILED,
            "detail": summary,
            "tested_at": timezone.now(),
        },
        create_defaults={
            "present": False,
            "selftest": Serving.Selftest.FAILED,
            "detail": summary,
            "tested_at": timezone.now(),
        },
    )
    look_again(replica)


def _leavers(replica: Replica, now: datetime) -> list[Adapter]:
    """The longest retired, as many as must go for the next one to find a place.

    The others stay, so that going back to one, or promoting one that was evaluated, takes no load
    and no test. One place more is left empty: see `loading`.
    """
    unasked = Q(asked_at=None) | Q(asked_at__lt=now - places.WANTED)
    drained = (
        Adapter.objects.filter(
            unasked,
            state=Adapter.State.RETIRED,
            retired_at__lt=now - DRAIN,
            served_model__servings__replica=replica,
            served_model__servings__present=True,
        )
        .select_related("served_model")
        .order_by("retired_at")
    )
    if replica.places is None:
        return list(drained)
    taken = replica.servings.filter(
        present=True, served_model__kind=ServedModel.Kind.ADAPTER
    ).count()
    return list(drained[: max(0, taken + 2 - replica.places)])


def _unload_retired(replica: Replica, sighting: Sighting, liars: Collection[str]) -> None:
    """Those of them whose requests have ended, and those that do not answer anyway."""
    busy = vitals.adapters_in_progress(sighting.metrics)
    leaving = [a for a in _leavers(replica, timezone.now()) if str(a) not in busy]
    leaving += Adapter.objects.filter(
        state=Adapter.State.RETIRED, served_model__name__in=set(liars) - {str(a) for a in leaving}
    ).select_related("served_model")
    for adapter in leaving:
        unload(replica, adapter)
    if leaving:
        look_again(replica)
