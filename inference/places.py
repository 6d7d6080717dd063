"""Who has one of a replica's places for adapters (--max-loras), when there are more than places.

Whoever wants answers says so (`ask_for`). One that is wanted and has no place gets that of the
longest unasked; of several that are all wanted, each keeps its place for a turn. Names never change
their meaning: what is asked of one that has just lost its place is refused by the server, and asked
again when it is back.

All that are loaded have a place, because vLLM on the CPU mixes models up beyond that.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from inference import vitals
from inference.errors import SwapRefused
from inference.models import Adapter, Replica, ServedModel, Serving
from inference.replicas import Sighting

TURN = timedelta(minutes=1)  # that one keeps its place while it is asked and others wait
WANTED = timedelta(seconds=30)  # since it was last asked
NOTED = timedelta(seconds=5)  # more often it is not written down
# Nothing more is asked of it for so long; if it still has its place then, it is as before.
LEAVING = timedelta(minutes=1)
DRAIN = timedelta(seconds=15)  # until every process has seen that an alias was flipped


class NoPlace(SwapRefused):
    """All places are in use; one falls free soon."""


def ask_for(names: Collection[str]) -> None:
    """Somebody waits for answers by these served names: say it every second or so."""
    now = timezone.now()
    unsaid = Q(asked_at=None) | Q(asked_at__lt=now - NOTED)
    wanted = Adapter.objects.filter(unsaid, zero=False, served_model__name__in=names)
    wanted.update(asked_at=now)


def is_leaving(serving: Serving) -> bool:
    return serving.leaving_at is not None and serving.leaving_at > timezone.now() - LEAVING


def needed(missing: Sequence[Adapter]) -> int:
    """Until base requests go through the zero adapter, the last place must stay empty."""
    return len(missing) + any(adapter.zero for adapter in missing)


def givers(replica: Replica, sighting: Sighting, missing: Sequence[Adapter]) -> list[Adapter]:
    """Those that are to be unloaded so that the missing ones find a place; none: there is room.

    Raises NoPlace, after which nothing more is asked of those that are to leave; SwapRefused when
    there never will be room.
    """
    places, wanted = vitals.adapter_places(sighting.metrics), needed(missing)
    taken = sum(bool(card.parent) for card in sighting.cards)
    if places is None or taken + wanted <= places:
        return []
    ours = replica.servings.filter(present=True, served_model__adapter__zero=False)
    others = max(0, taken - ours.count())  # zero adapters, and what somebody else loaded
    if others + wanted > places:
        raise SwapRefused(
            f"{replica.name} has places for {places} adapters (--max-loras), and {wanted} are "
            "needed. Start it with more places (INFERENCE_ADAPTERS for the local server)."
        )
    able, lacking = _able_to_give(replica, missing), taken + wanted - places
    busy = vitals.adapters_in_progress(sighting.metrics)
    idle = [adapter for adapter in able if str(adapter) not in busy]
    if len(idle) >= lacking:
        return idle[:lacking]
    _let_leave(replica, [adapter for adapter in able if str(adapter) in busy][:lacking])
    raise NoPlace(
        f"{replica.name} has places for {places} adapters (--max-loras), and all are in use just "
        "now. The next one that falls free is taken."
    )


def _able_to_give(replica: Replica, missing: Sequence[Adapter]) -> list[Adapter]:
    """First who should go first."""
    now = timezone.now()
    here = replica.servings.filter(present=True, served_model__adapter__zero=False).select_related(
        "served_model__adapter"
    )
    kept = {adapter.pk for adapter in missing}
    able = [
        serving
        for serving in here
        if serving.served_model.adapter.pk not in kept and _may_go(serving, now)
    ]
    return [each.served_model.adapter for each in sorted(able, key=lambda each: _rank(each, now))]


def _may_go(serving: Serving, now: datetime) -> bool:
    adapter = serving.served_model.adapter
    if adapter.state == Adapter.State.RETIRED and not _before(adapter.retired_at, now - DRAIN):
        return False
    if adapter.state == Adapter.State.LOADING:
        return False
    return not is_wanted(adapter, now) or _before(serving.tested_at, now - TURN)


def _rank(serving: Serving, now: datetime) -> tuple[bool, bool, float]:
    """Retired ones go first, then the longest unasked, then who had its turn the longest."""
    adapter = serving.served_model.adapter
    wanted = is_wanted(adapter, now)
    since = serving.tested_at if wanted else adapter.asked_at
    meant = adapter.state == Adapter.State.SERVING
    return wanted, meant, since.timestamp() if since else 0.0


def is_wanted(adapter: Adapter, now: datetime) -> bool:
    return not _before(adapter.asked_at, now - WANTED)


def _let_leave(replica: Replica, adapters: Sequence[Adapter]) -> None:
    now = timezone.now()
    names = [str(adapter) for adapter in adapters]
    staying = Q(leaving_at=None) | Q(leaving_at__lt=now - LEAVING)
    replica.servings.filter(staying, served_model__name__in=names).update(leaving_at=now)


def to_bring(replica: Replica, away: Sequence[Adapter], zero_is_here: bool) -> list[Adapter]:
    """Of those that have no place: who is wanted, the longest without one first; then, as far as
    there is room, who was asked last.
    """
    now = timezone.now()
    placed = dict(replica.servings.values_list("served_model_id", "tested_at"))
    wanted = [adapter for adapter in away if is_wanted(adapter, now)]
    wanted.sort(key=lambda each: _time(placed.get(each.served_model_id)))
    rest = [
        adapter
        for adapter in away
        if adapter.state == Adapter.State.SERVING and not is_wanted(adapter, now)
    ]
    rest.sort(key=lambda each: _time(each.asked_at), reverse=True)
    if replica.places is None:
        return [*wanted, *rest]
    adapters = replica.servings.filter(present=True, served_model__kind=ServedModel.Kind.ADAPTER)
    free = replica.places - adapters.count() - (0 if zero_is_here else 2)
    return [*wanted, *rest[: max(0, free - len(wanted))]]


def _time(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0


def _before(at: datetime | None, limit: datetime) -> bool:
    return at is None or at < limit
