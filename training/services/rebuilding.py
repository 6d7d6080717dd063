"""Training an adapter again without some labelers or rounds: a snapshot, and then a run on it."""

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.db.models import Q

from annotate.dispatch import enqueue
from annotate.errors import Conflict, Invalid, Refusal
from annotate.models import Project
from annotate.services import audit
from training.models import Rebuild, Snapshot, SnapshotState, TrainedAdapter
from training.models.snapshot import UNFINISHED
from training.queries.touched import Touched, learned_from
from training.runs.assembly import DECIDED
from training.services.runs import create_run
from training.services.snapshots import create_snapshot
from training.snapshots.spec import SnapshotSpec

log = logging.getLogger(__name__)

CONTINUE = "training.continue_rebuild"


@transaction.atomic
def rebuild_adapter(
    *,
    project_id: int,
    actor_id: int,
    adapter_id: int,
    labelers: Collection[int] = (),
    rounds: Collection[int] = (),
) -> Rebuild:
    """Begin to train the adapter's run again without these labelers (ids) and rounds (numbers).

    The snapshot has the spec of the adapter's own and nothing that was said after it; when it is
    ready, a job creates the run. Raises Invalid when the adapter did not learn from any of them or
    nothing else is left, Conflict when its parent or judge must be rebuilt first.
    """
    Project.objects.select_for_update().get(pk=project_id)
    adapter = TrainedAdapter.objects.select_related("run__snapshot").get(
        pk=adapter_id, project_id=project_id
    )
    touched = learned_from(project_id, labelers=labelers, rounds=rounds)
    if adapter.pk not in touched.adapters:
        raise Invalid(
            f"Adapter {adapter.number} did not learn from any of them. There is nothing to rebuild."
        )
    run = adapter.run
    rebuild = Rebuild.objects.create(
        project_id=project_id,
        adapter=adapter,
        parent=_clean(run.parent, touched, f"adapter {adapter.number} goes on from it"),
        judge=_clean(run.judge, touched, f"adapter {adapter.number} was rewarded by it"),
        snapshot=_snapshot(run.snapshot, touched, actor_id, labelers, rounds),
        created_by_id=actor_id,
    )
    audit.record(
        verb="rebuilds",
        of=adapter,
        project_id=project_id,
        actor_id=actor_id,
        snapshot=rebuild.snapshot.number,
        labelers=len(labelers),
        rounds=len(rounds),
    )
    enqueue(CONTINUE, rebuild_id=rebuild.pk)
    return rebuild


def _clean(adapter: TrainedAdapter | None, touched: Touched, why: str) -> TrainedAdapter | None:
    """The adapter, or what it was rebuilt as, if that did not learn from them either."""
    if adapter is None or adapter.pk not in touched.adapters:
        return adapter
    rebuilt = TrainedAdapter.objects.filter(run__rebuild__adapter=adapter)
    found = rebuilt.exclude(pk__in=touched.adapters).order_by("-pk").first()
    if found is None:
        raise Conflict(
            f"Adapter {adapter.number} learned from them, too, and {why}. "
            f"Rebuild adapter {adapter.number} first."
        )
    return found


def _snapshot(
    old: Snapshot,
    touched: Touched,
    actor_id: int,
    labelers: Collection[int],
    rounds: Collection[int],
) -> Snapshot:
    """A new one without them; the old one, if there is nothing of theirs in it."""
    if old.pk not in touched.snapshots:
        return old
    spec = SnapshotSpec.from_dict(old.spec)
    without = replace(
        spec,
        until=spec.until or old.finished_at,
        excluded_labelers=(*spec.excluded_labelers, *labelers),
        excluded_rounds=(*spec.excluded_rounds, *rounds),
    )
    return create_snapshot(project_id=old.project_id, actor_id=actor_id, spec=without)


def to_continue() -> list[int]:
    """Rebuilds whose snapshot has ended and whose run is not there yet."""
    waiting = Rebuild.objects.filter(Q(run=None, message="")).order_by("pk")
    return list(waiting.exclude(snapshot__state__in=UNFINISHED).values_list("pk", flat=True)[:100])


@transaction.atomic
def continue_rebuild(*, rebuild_id: int) -> None:
    """Create the run if the snapshot is ready; say why not if there will be none. Safe twice."""
    rebuild = (
        Rebuild.objects.select_for_update(of=("self",))
        .select_related("snapshot", "adapter__run")
        .filter(pk=rebuild_id, run=None, message="")
        .first()
    )
    if rebuild is None or rebuild.snapshot.state in UNFINISHED:
        return
    if rebuild.snapshot.state != SnapshotState.READY:
        snapshot = rebuild.snapshot
        reason = f" {snapshot.message}" if snapshot.message else ""
        _give_up(rebuild, f"Snapshot {snapshot.number} was {snapshot.state}.{reason}")
        return
    old = rebuild.adapter.run
    parent: dict[str, Any] = old.spec.get("parent") or {}
    try:
        with transaction.atomic():
            rebuild.run = create_run(
                project_id=rebuild.project_id,
                actor_id=rebuild.created_by_id,
                snapshot_id=rebuild.snapshot_id,
                method=old.method,
                preset=old.preset,
                values=values_of(old.spec),
                parent_id=rebuild.parent_id,
                parent_use=parent.get("use", "continue"),
                judge_id=rebuild.judge_id,
            )
            rebuild.save(update_fields=["run"])
    except Refusal as refusal:
        log.warning("%s: %s", rebuild, refusal.message)
        _give_up(rebuild, refusal.message)


def values_of(spec: dict[str, Any]) -> dict[str, Any]:
    """What of a run's spec is asked for again: all that its snapshot and adapters do not decide."""
    return {
        section: {
            name: value for name, value in inner.items() if f"{section}.{name}" not in DECIDED
        }
        if isinstance(inner, dict)
        else inner
        for section, inner in spec.items()
        if section not in DECIDED and inner is not None
    }


def _give_up(rebuild: Rebuild, message: str) -> None:
    rebuild.message = message
    rebuild.save(update_fields=["message"])
    audit.record(
        verb="gave up a rebuild",
        of=rebuild.adapter,
        project_id=rebuild.project_id,
        actor_id=None,
        message=message[:500],
    )
