"""Asking for a snapshot, giving up on it, trying again."""

from django.db import transaction
from django.utils import timezone

from annotate.dispatch import enqueue
from annotate.errors import Conflict, Invalid, NotFound
from annotate.models import Project, Ranking, Round
from annotate.services import audit
from annotate.services.numbering import next_number
from training.models import Snapshot, SnapshotState
from training.models.snapshot import UNFINISHED
from training.queries import selection
from training.snapshots.spec import SnapshotSpec

BUILD = "training.build_snapshot"


@transaction.atomic
def create_snapshot(*, project_id: int, actor_id: int, spec: SnapshotSpec) -> Snapshot:
    """A snapshot that a job builds. Raises Invalid when nothing is chosen by the spec."""
    project = Project.objects.select_for_update().get(pk=project_id)
    _check(project, spec)
    snapshot = Snapshot.objects.create(
        project=project,
        number=next_number(Snapshot.objects.filter(project=project)),
        spec=spec.as_dict(),
        created_by_id=actor_id,
    )
    audit.record(verb="created", of=snapshot, project_id=project_id, actor_id=actor_id)
    enqueue(BUILD, snapshot_id=snapshot.pk)
    return snapshot


def _check(project: Project, spec: SnapshotSpec) -> None:
    known = set(Round.objects.filter(project=project).values_list("number", flat=True))
    if unknown := {*spec.rounds, *spec.excluded_rounds} - known:
        message = f"This project has no round {min(unknown)}. Choose among its rounds."
        raise Invalid(message, fields={"rounds": [message]})
    named = {*spec.labelers, *spec.excluded_labelers}
    ranked = Ranking.objects.filter(project=project, labeler_id__in=named)
    if named - set(ranked.values_list("labeler_id", flat=True)):
        message = "One of the labelers has ranked nothing here. Choose among those who have."
        raise Invalid(message, fields={"labelers": [message]})
    if spec.since and spec.until and spec.since >= spec.until:
        message = "The first day must be before the last."
        raise Invalid(message, fields={"until": [message]})
    if not selection.any_task(project.pk, spec):
        raise Invalid(
            "No ranking is chosen. Choose more rounds, dates or labelers, exclude fewer, or lower "
            "the overlap.",
            code="no_rankings",
        )


@transaction.atomic
def cancel_snapshot(*, snapshot_id: int, actor_id: int) -> Snapshot:
    """Stop building. Raises Conflict when it ended otherwise."""
    snapshot = _locked(snapshot_id)
    if snapshot.state == SnapshotState.CANCELED:
        return snapshot
    if snapshot.state not in UNFINISHED:
        raise Conflict(f"The snapshot is {snapshot.state}; there is nothing to cancel.")
    snapshot.state, snapshot.finished_at = SnapshotState.CANCELED, timezone.now()
    snapshot.save(update_fields=["state", "finished_at"])
    audit.record(verb="canceled", of=snapshot, project_id=snapshot.project_id, actor_id=actor_id)
    return snapshot


@transaction.atomic
def retry_snapshot(*, snapshot_id: int, actor_id: int) -> Snapshot:
    """Build again what failed or was canceled. Raises Conflict when it is ready."""
    snapshot = _locked(snapshot_id)
    if snapshot.state in UNFINISHED:
        return snapshot
    if snapshot.state == SnapshotState.READY:
        raise Conflict("The snapshot is ready and never changes. Create another one.")
    snapshot.state, snapshot.finished_at, snapshot.message = SnapshotState.QUEUED, None, ""
    snapshot.attempts = snapshot.tasks_done = snapshot.tasks_total = 0
    snapshot.save()
    audit.record(verb="retried", of=snapshot, project_id=snapshot.project_id, actor_id=actor_id)
    enqueue(BUILD, snapshot_id=snapshot.pk)
    return snapshot


def _locked(snapshot_id: int) -> Snapshot:
    snapshot = Snapshot.objects.select_for_update().filter(pk=snapshot_id).first()
    if snapshot is None:
        raise NotFound
    return snapshot
