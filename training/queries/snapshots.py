"""Snapshots as people see them."""

from typing import Any

from django.db.models import Q, QuerySet

from annotate.errors import NotFound
from annotate.models import User
from training.models import Snapshot
from training.models.snapshot import UNFINISHED
from training.queries import snapshot_files
from training.snapshots.spec import SnapshotSpec


def of_project(project_id: int) -> QuerySet[Snapshot]:
    """A project's snapshots."""
    return Snapshot.objects.filter(project_id=project_id).select_related("created_by", "project")


def one(project_id: int, number: int) -> Snapshot:
    """Raises NotFound."""
    snapshot = of_project(project_id).filter(number=number).first()
    if snapshot is None:
        raise NotFound
    return snapshot


def to_advance() -> list[int]:
    """The oldest unfinished snapshot of each project: they are built one after the other."""
    oldest = Snapshot.objects.filter(state__in=UNFINISHED).order_by("project_id", "id")
    return list(oldest.distinct("project_id").values_list("id", flat=True))


def row(snapshot: Snapshot) -> dict[str, Any]:
    """What a list shows of it."""
    counts = (snapshot.manifest or {}).get("counts")
    return {
        "number": snapshot.number,
        "state": snapshot.state,
        "message": snapshot.message,
        "tasks_done": snapshot.tasks_done,
        "tasks_total": snapshot.tasks_total,
        "content_hash": snapshot.content_hash,
        "aggregation": snapshot.spec["aggregation"],
        "counts": counts and {side: _side(counts[side]) for side in ("train", "held_out")},
        "labelers": counts and counts["labelers"],
        "created_by": snapshot.created_by.username,
        "created_at": snapshot.created_at,
        "finished_at": snapshot.finished_at,
    }


def _side(counts: dict[str, Any]) -> dict[str, Any]:
    """In manifests before version 3 identical answers were not counted."""
    return {"identical": 0, **counts}


def detail(snapshot: Snapshot) -> dict[str, Any]:
    """Everything about it but the content of its files."""
    manifest = snapshot.manifest or {}
    counts = manifest.get("counts", {})
    return {
        **row(snapshot),
        "spec": _spec(snapshot),
        "rounds": counts.get("rounds", []),
        "models": counts.get("models", []),
        "agreement": counts.get("agreement"),
        "methods": manifest.get("methods", {}),
        "files": [
            {"name": name, "bytes": file["bytes"], "sha256": file["sha256"]}
            for name, file in manifest.get("files", {}).items()
        ],
        "parquet": snapshot_files.parquet_names(snapshot),
        "load_dataset": snapshot_files.load_lines(snapshot, archive_name(snapshot)),
        "changed_since": changed_since(snapshot),
    }


def changed_since(snapshot: Snapshot) -> int:
    """How many of its rankings were revised or withdrawn after it was built."""
    return snapshot.parts.filter(ranking__current=False).count()


def archive_name(snapshot: Snapshot) -> str:
    """Of the folder in its archive, which is called the same."""
    return f"{snapshot.project.slug}-snapshot-{snapshot.number}"


def _spec(snapshot: Snapshot) -> dict[str, Any]:
    """With the names of people instead of their ids."""
    spec = SnapshotSpec.from_dict(snapshot.spec)
    people = {*spec.labelers, *spec.excluded_labelers}
    names = dict(User.objects.filter(pk__in=people).values_list("pk", "username"))
    return {
        **spec.as_dict(),
        "labelers": sorted(names[key] for key in spec.labelers),
        "excluded_labelers": sorted(names[key] for key in spec.excluded_labelers),
    }


def labelers_named(project_id: int, usernames: list[str]) -> dict[str, int]:
    """The ids of those of these people who ranked in the project."""
    ranked = Q(rankings__project_id=project_id)
    found = User.objects.filter(ranked, username__in=usernames).distinct()
    return dict(found.values_list("username", "pk"))
