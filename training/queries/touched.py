"""What learned from somebody, or from a round."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet

from annotate.models import Ranking
from training.models import (
    Promotion,
    PromotionState,
    Snapshot,
    SnapshotRanking,
    TrainedAdapter,
    TrainingRun,
)
from training.queries.standing import standings

MOST = 500


@dataclass(frozen=True, slots=True)
class Touched:
    """rankings: their current ones. snapshots: id -> how many of theirs it holds.

    runs, adapters: id -> through what: "snapshot", or "parent" or "judge", which learned from them.
    """

    rankings: int
    snapshots: dict[int, int]
    runs: dict[int, str]
    adapters: dict[int, str]


def learned_from(
    project_id: int, *, labelers: Collection[int] = (), rounds: Collection[int] = ()
) -> Touched:
    """All that learned from any of these labelers (ids) or any of these rounds (numbers)."""
    theirs = Q(labeler_id__in=labelers) | Q(round__number__in=rounds)
    said = Ranking.objects.filter(theirs, project_id=project_id)
    parts = SnapshotRanking.objects.filter(ranking__in=said).order_by()
    snapshots = dict(
        parts.values("snapshot_id").annotate(count=Count("id")).values_list("snapshot_id", "count")
    )
    runs, adapters = _heirs(project_id, snapshots)
    return Touched(said.filter(current=True).count(), snapshots, runs, adapters)


def _heirs(project_id: int, snapshots: Collection[int]) -> tuple[dict[int, str], dict[int, str]]:
    """The runs on these snapshots, and all that went on from their adapters or learned by them."""
    made = dict(TrainedAdapter.objects.filter(project_id=project_id).values_list("run_id", "pk"))
    runs: dict[int, str] = {}
    adapters: dict[int, str] = {}
    # An adapter is older than the runs that take it up.
    for run, snapshot, parent, judge in (
        TrainingRun.objects.filter(project_id=project_id)
        .order_by("pk")
        .values_list("pk", "snapshot_id", "parent_id", "judge_id")
    ):
        ways = {"snapshot": snapshot in snapshots, "parent": parent in adapters}
        ways["judge"] = judge in adapters
        if because := next((way for way, true in ways.items() if true), None):
            runs[run] = because
            if run in made:
                adapters[made[run]] = because
    return runs, adapters


def described(project_id: int, touched: Touched) -> dict[str, Any]:
    """For people: newest first, at most 500 of each."""
    snapshots = Snapshot.objects.filter(pk__in=touched.snapshots).order_by("-number")[:MOST]
    runs = TrainingRun.objects.filter(pk__in=touched.runs).select_related("snapshot")
    return {
        "rankings": touched.rankings,
        "snapshots": [
            {"number": each.number, "rankings": touched.snapshots[each.pk]} for each in snapshots
        ],
        "runs": [
            {
                "number": each.number,
                "method": each.method,
                "state": each.state,
                "snapshot": each.snapshot.number,
                "because": touched.runs[each.pk],
            }
            for each in runs.order_by("-number")[:MOST]
        ],
        "adapters": _adapters(project_id, touched),
    }


def _adapters(project_id: int, touched: Touched) -> list[dict[str, Any]]:
    done = Promotion.objects.filter(project_id=project_id, state=PromotionState.DONE)
    stand = standings(project_id, touched.adapters)
    promoted: dict[int, list[int]] = {}
    for adapter, number in done.filter(adapter__in=touched.adapters).values_list(
        "adapter_id", "number"
    ):
        promoted.setdefault(adapter or 0, []).append(number)
    found: QuerySet[TrainedAdapter] = TrainedAdapter.objects.filter(pk__in=touched.adapters)
    return [
        {
            "number": each.number,
            "run": each.run.number,
            "snapshot": each.run.snapshot.number,
            "method": each.run.method,
            "because": touched.adapters[each.pk],
            "standing": stand[each.pk],
            "promotions": sorted(promoted.get(each.pk, [])),
        }
        for each in found.select_related("run__snapshot").order_by("-number")[:MOST]
    ]
