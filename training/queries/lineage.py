"""Where every adapter comes from and what became of every round, as a graph.

Edges go from cause to effect: models wrote a round's answers; rounds and labelers gave the rankings
of a snapshot; a run learned from it, from its parent and from its judge, and made an adapter, which
was promoted or wrote the next round.
"""

from typing import Any, NamedTuple

from django.core.cache import cache
from django.db import connection
from django.db.models import Q

from annotate.models import Round, RoundState, User
from training.loop.words import counted
from training.models import Promotion, Snapshot, SnapshotState, TrainingRun
from training.models.run import UNFINISHED_RUNS
from training.queries.lineage_graph import Graph
from training.queries.standing import standings

KINDS = ["base", "labeler", "labelers", "round", "snapshot", "run", "adapter", "promotion"]
LATEST = 40  # of each kind
LABELERS = 50
KEPT_S = 30 * 24 * 3600

_PARTS = """
SELECT p.snapshot_id, r.round_id, r.labeler_id, count(*)
  FROM training_snapshotranking p JOIN annotate_ranking r ON r.id = p.ranking_id
 WHERE p.snapshot_id = ANY(%s) GROUP BY 1, 2, 3
"""
_WRITERS = """
SELECT t.round_id, c.adapter_hash, s.name, count(*)
  FROM annotate_completion c
  JOIN annotate_task t ON t.id = c.task_id
  JOIN inference_servedmodel s ON s.id = c.served_model_id
 WHERE t.round_id = ANY(%s) GROUP BY 1, 2, 3
"""


class Part(NamedTuple):
    """Rankings of one labeler in one round that are in a snapshot."""

    round: int
    labeler: int
    rankings: int


class Writer(NamedTuple):
    """Answers of a round by one model."""

    adapter_hash: str
    name: str
    answers: int


def lineage(project_id: int, *, node: str = "") -> dict[str, Any]:
    """The latest 40 snapshots, runs, promotions and rounds with all between them.

    node: leave only what this one came from and what became of it. Raises NotFound.
    """
    graph = Graph()
    runs = _runs(graph, project_id)
    snapshots = _snapshots(graph, project_id, {run.snapshot_id for run in runs})
    _promotions(graph, project_id)
    _rounds(graph, project_id, _adapters_by_hash(runs))
    _people(graph, snapshots)
    if node:
        graph.within(node)
    return {**graph.as_dict(), "latest": LATEST}


def _runs(graph: Graph, project_id: int) -> list[TrainingRun]:
    """What made an adapter or may still make one."""
    fruitful = Q(adapter__isnull=False) | Q(state__in=UNFINISHED_RUNS)
    found = list(
        TrainingRun.objects.filter(fruitful, project_id=project_id)
        .select_related("adapter")
        .order_by("-number")[:LATEST]
    )
    stand = standings(project_id)
    for run in reversed(found):
        key = f"run-{run.pk}"
        graph.add(
            key,
            kind="run",
            number=run.number,
            title=f"Run {run.number}",
            detail=f"{run.method}, {run.get_state_display()}",
            at=run.created_at,
        )
        graph.link(f"snapshot-{run.snapshot_id}", key)
        for adapter in {run.parent_id, run.judge_id} - {None}:
            graph.link(f"adapter-{adapter}", key)
        if adapter := getattr(run, "adapter", None):
            graph.add(
                f"adapter-{adapter.pk}",
                kind="adapter",
                number=adapter.number,
                title=f"Adapter {adapter.number}",
                detail=f"{adapter.base}@{adapter.content_hash[:16]}",
                at=adapter.created_at,
                standing=stand[adapter.pk],
            )
            graph.link(key, f"adapter-{adapter.pk}")
            if run.parent_id is None:
                _base(graph, adapter.base)
                graph.link(f"base-{adapter.base}", key)
    return found


def _base(graph: Graph, name: str) -> None:
    graph.add(f"base-{name}", kind="base", title=name, detail="base")


def _adapters_by_hash(runs: list[TrainingRun]) -> dict[str, int]:
    made = [run.adapter for run in runs if hasattr(run, "adapter")]
    return {adapter.content_hash: adapter.pk for adapter in made}


def _snapshots(graph: Graph, project_id: int, of_runs: set[int]) -> dict[int, list[Part]]:
    ready = Snapshot.objects.filter(project_id=project_id, state=SnapshotState.READY)
    latest = list(ready.order_by("-number").values_list("pk", flat=True)[:LATEST])
    found = list(ready.filter(pk__in={*latest, *of_runs}).order_by("number"))
    parts = _parts([snapshot.pk for snapshot in found])
    for snapshot in found:
        said = parts[snapshot.pk]
        rankings = counted(sum(part.rankings for part in said), "ranking")
        people = counted(len({part.labeler for part in said}), "labeler")
        graph.add(
            f"snapshot-{snapshot.pk}",
            kind="snapshot",
            number=snapshot.number,
            title=f"Snapshot {snapshot.number}",
            detail=f"{rankings} by {people}",
            at=snapshot.created_at,
        )
        for part in said:
            graph.link(f"round-{part.round}", f"snapshot-{snapshot.pk}", part.rankings)
    return parts


def _parts(snapshot_ids: list[int]) -> dict[int, list[Part]]:
    """What each ready snapshot is made of: it never changes, so it is counted once."""
    keys = {f"lineage:parts:{key}": key for key in snapshot_ids}
    found = {keys[name]: value for name, value in cache.get_many(keys).items()}
    missing = [key for key in snapshot_ids if key not in found]
    if missing:
        fresh: dict[int, list[tuple[int, ...]]] = {key: [] for key in missing}
        for snapshot, *part in _rows(_PARTS, missing):
            fresh[snapshot].append(tuple(part))
        cache.set_many({f"lineage:parts:{key}": part for key, part in fresh.items()}, KEPT_S)
        found |= fresh
    return {key: [Part(*part) for part in parts] for key, parts in found.items()}


def _promotions(graph: Graph, project_id: int) -> None:
    found = Promotion.objects.filter(project_id=project_id).select_related("created_by", "previous")
    for promotion in reversed(found.order_by("-number")[:LATEST]):
        key = f"promotion-{promotion.pk}"
        who = promotion.created_by.username if promotion.created_by else "the loop"
        graph.add(
            key,
            kind="promotion",
            number=promotion.number,
            title=f"Promotion {promotion.number}",
            detail=f"{promotion.get_kind_display()} by {who}, {promotion.get_state_display()}",
            at=promotion.created_at,
        )
        if promotion.adapter_id:
            graph.link(f"adapter-{promotion.adapter_id}", key)
        elif promotion.previous:
            _base(graph, promotion.previous.base)
            graph.link(f"base-{promotion.previous.base}", key)


def _rounds(graph: Graph, project_id: int, adapters: dict[str, int]) -> None:
    begun = Round.objects.filter(project_id=project_id).exclude(state=RoundState.DRAFT)
    found = list(begun.order_by("-number")[:LATEST])
    writers = _writers(found)
    for round_ in reversed(found):
        key = f"round-{round_.pk}"
        graph.add(
            key,
            kind="round",
            number=round_.number,
            title=f"Round {round_.number}",
            detail=f"{round_.get_state_display()}, {round_.k} answers a prompt",
            at=round_.created_at,
        )
        for writer in writers[round_.pk]:
            if not writer.adapter_hash:
                _base(graph, writer.name)
                graph.link(f"base-{writer.name}", key, writer.answers)
            elif adapter := adapters.get(writer.adapter_hash):
                graph.link(f"adapter-{adapter}", key, writer.answers)


def _writers(rounds: list[Round]) -> dict[int, list[Writer]]:
    """Who wrote each round's answers; of a round that is closed it is counted once."""
    keys = {f"lineage:writers:{each.pk}": each for each in rounds if not each.open}
    found = {keys[name].pk: value for name, value in cache.get_many(keys).items()}
    missing = [each for each in rounds if each.pk not in found]
    fresh: dict[int, list[tuple[Any, ...]]] = {each.pk: [] for each in missing}
    for round_id, *writer in _rows(_WRITERS, list(fresh)):
        fresh[round_id].append(tuple(writer))
    closed = {
        f"lineage:writers:{each.pk}": fresh[each.pk]
        for each in missing
        if each.state == RoundState.CLOSED
    }
    cache.set_many(closed, KEPT_S)
    return {key: [Writer(*each) for each in every] for key, every in (found | fresh).items()}


def _people(graph: Graph, snapshots: dict[int, list[Part]]) -> None:
    """A node for each labeler, or one for all when there are many."""
    labelers = {part.labeler for parts in snapshots.values() for part in parts}
    if len(labelers) > LABELERS:
        graph.add("labelers", kind="labelers", title=f"{len(labelers)} labelers")
    else:
        for key, name in User.objects.filter(pk__in=labelers).values_list("pk", "username"):
            graph.add(f"labeler-{key}", kind="labeler", title=name)
    for snapshot, parts in snapshots.items():
        for part in parts:
            who = "labelers" if "labelers" in graph.nodes else f"labeler-{part.labeler}"
            graph.link(who, f"snapshot-{snapshot}", part.rankings)


def _rows(statement: str, ids: list[int]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [ids])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
