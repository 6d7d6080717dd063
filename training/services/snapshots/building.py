"""Building a snapshot: a job that may be killed anywhere and run again, and changes nothing twice.

One job a project: a PostgreSQL advisory lock, held by the job's connection, keeps a second one out
and vanishes with the process. Files are drafted on this machine and copied to the storage once
their hash is known; the snapshot refers to them only when all are there.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import storages
from django.db import connection, transaction
from django.utils import timezone

from annotate.services import audit
from training.models import Snapshot, SnapshotRanking, SnapshotState
from training.models.snapshot import UNFINISHED
from training.queries import selection
from training.snapshots.card import card
from training.snapshots.counts import Counts
from training.snapshots.files import CARD, MANIFEST, LineFiles, content_hash, write_manifest
from training.snapshots.rows import demonstration_lines, ranking_lines, said_of
from training.snapshots.sides import HELD_OUT, TRAIN, held_out_prompts
from training.snapshots.spec import SnapshotSpec

log = logging.getLogger(__name__)

LOCK_CLASS = 0x736E70  # "snp": the first half of the advisory lock's key
TASKS_AT_A_TIME = 64
PROMPTS_BETWEEN_LOOKS = 2000
ATTEMPTS = 3
ROWS_AT_A_TIME = 5000


class Canceled(Exception):
    """Somebody canceled the snapshot meanwhile."""


class NothingToTrain(Exception):
    """No row is left for training; the message says why."""


def build_snapshot(*, snapshot_id: int) -> None:
    """Build it, unless it is not to be built any more or another job of the project builds."""
    project_id = Snapshot.objects.values_list("project_id", flat=True).get(pk=snapshot_id)
    with _only_job(project_id) as mine:
        snapshot = _begin(snapshot_id) if mine else None
        if snapshot is None:
            return
        try:
            with _draft(snapshot) as folder:
                _build(snapshot, folder)
        except Canceled:
            log.info("%s was canceled", snapshot)
        except NothingToTrain as reason:
            _fail(snapshot, str(reason))
        except OSError as error:
            log.exception("%s cannot be written", snapshot)
            _fail(snapshot, f"The files cannot be written: {error.strerror or error}. Then retry.")


@contextmanager
def _only_job(project_id: int) -> Iterator[bool]:
    """Whether this job is the project's only one, for as long as the block lasts."""
    key = [LOCK_CLASS, project_id % 2**31]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s::int, %s::int)", key)
        (mine,) = cursor.fetchone()
        try:
            yield mine
        finally:
            if mine:
                cursor.execute("SELECT pg_advisory_unlock(%s::int, %s::int)", key)


@transaction.atomic
def _begin(snapshot_id: int) -> Snapshot | None:
    snapshot = (
        Snapshot.objects.select_for_update(of=("self",))
        .select_related("project")
        .filter(pk=snapshot_id, state__in=UNFINISHED)
        .first()
    )
    if snapshot is None:
        return None
    if snapshot.attempts >= ATTEMPTS:
        _fail(
            snapshot,
            f"The job ended {ATTEMPTS} times before it was done. The worker's log, or the "
            "machine's when it ran out of memory, says why. Then retry.",
        )
        return None
    snapshot.attempts += 1
    snapshot.state, snapshot.tasks_done = SnapshotState.BUILDING, 0
    snapshot.save(update_fields=["attempts", "state", "tasks_done"])
    return snapshot


@contextmanager
def _draft(snapshot: Snapshot) -> Iterator[Path]:
    """An empty folder; what a killed job left in it is removed."""
    folder = Path(settings.SNAPSHOT_DRAFTS) / str(snapshot.pk)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _build(snapshot: Snapshot, folder: Path) -> None:
    spec = SnapshotSpec.from_dict(snapshot.spec)
    barred = held_out_prompts(_watched_prompts(snapshot))
    counts = Counts()
    with LineFiles(folder) as files:
        _write_lines(snapshot, spec, barred, files, counts)
    if not (counts.sides[TRAIN]["rows"] or counts.sides[TRAIN]["demonstrations"]):
        held = counts.sides[HELD_OUT]["tasks"]
        raise NothingToTrain(
            f"Nothing is left to train on: all {held} tasks are held out, by their prompt's hash "
            "or as near-duplicates of held-out prompts. Rank more prompts."
        )
    summary = counts.as_dict()
    text = card(snapshot.project.slug, spec, summary)
    (folder / CARD).write_text(text, encoding="utf-8")
    manifest = write_manifest(folder, snapshot.project.slug, spec, summary)
    digest = content_hash(folder)
    _store(folder, digest, sorted(manifest["files"]))
    _finish(snapshot, digest, manifest, counts.rankings)


def _watched_prompts(snapshot: Snapshot) -> Iterator[tuple[int, str, str]]:
    for number, prompt in enumerate(selection.prompts(snapshot.project_id)):
        if number % PROMPTS_BETWEEN_LOOKS == 0:
            _progress(snapshot, tasks_done=0)
        yield prompt


def _write_lines(
    snapshot: Snapshot, spec: SnapshotSpec, barred: set[int], files: LineFiles, counts: Counts
) -> None:
    keys = selection.tasks(snapshot.project_id, spec)
    for start in range(0, len(keys), TASKS_AT_A_TIME):
        _progress(snapshot, tasks_done=start, tasks_total=len(keys))
        batch = [key.task for key in keys[start : start + TASKS_AT_A_TIME]]
        for task in selection.contents(snapshot.project_id, spec, batch):
            side = HELD_OUT if task.prompt in barred else TRAIN
            said = said_of(task, spec)
            files.write(side, "rankings", ranking_lines(task, said, side))
            files.write(side, "demonstrations", demonstration_lines(task, side))
            counts.add(task, said, side)
    _progress(snapshot, tasks_done=len(keys), tasks_total=len(keys))


def _progress(snapshot: Snapshot, **values: int) -> None:
    """Raises Canceled."""
    building = Snapshot.objects.filter(pk=snapshot.pk, state=SnapshotState.BUILDING)
    if not building.update(**values):
        raise Canceled


def _store(folder: Path, digest: str, names: list[str]) -> None:
    """Copy the files; the manifest comes last, so where it is, all are."""
    storage = storages["snapshots"]
    if storage.exists(f"{digest}/{MANIFEST}"):
        return
    for name in [*names, MANIFEST]:
        place = f"{digest}/{name}"
        storage.delete(place)  # half of it, of a job that was killed
        with (folder / name).open("rb") as file:
            storage.save(place, File(file))


@transaction.atomic
def _finish(snapshot: Snapshot, digest: str, manifest: dict[str, Any], rankings: list[int]) -> None:
    """Raises Canceled."""
    building = Snapshot.objects.filter(pk=snapshot.pk, state=SnapshotState.BUILDING)
    if not building.select_for_update().exists():
        raise Canceled
    parts = (SnapshotRanking(snapshot=snapshot, ranking_id=ranking) for ranking in rankings)
    while some := list(islice(parts, ROWS_AT_A_TIME)):
        SnapshotRanking.objects.bulk_create(some)
    building.update(
        state=SnapshotState.READY,
        content_hash=digest,
        manifest=manifest,
        finished_at=timezone.now(),
    )
    audit.record(
        verb="became ready",
        of=snapshot,
        project_id=snapshot.project_id,
        actor_id=None,
        content_hash=digest,
    )


@transaction.atomic
def _fail(snapshot: Snapshot, message: str) -> None:
    unfinished = Snapshot.objects.filter(pk=snapshot.pk, state__in=UNFINISHED)
    if unfinished.update(state=SnapshotState.FAILED, message=message, finished_at=timezone.now()):
        audit.record(
            verb="became failed", of=snapshot, project_id=snapshot.project_id, actor_id=None
        )
