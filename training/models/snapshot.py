"""An immutable dataset of a project, and the rankings it was made of."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q

from annotate.models import Project, Ranking, User


class SnapshotState(models.TextChoices):
    QUEUED = "queued", "waiting to be built"
    BUILDING = "building", "being built"
    READY = "ready", "ready"
    FAILED = "failed", "failed"
    CANCELED = "canceled", "canceled"


UNFINISHED = (SnapshotState.QUEUED, SnapshotState.BUILDING)


class Snapshot(models.Model):
    """Once it is ready nothing of it changes: a trigger in the database refuses it.

    Its files are in the storage `snapshots`, in the folder named by `content_hash`; snapshots with
    the same content share it. `manifest` is the folder's snapshot.json.
    """

    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="snapshots", db_index=False
    )
    number = models.PositiveIntegerField()
    state = models.CharField(
        max_length=10, choices=SnapshotState.choices, default=SnapshotState.QUEUED
    )
    spec = models.JSONField(help_text="training.snapshots.spec.SnapshotSpec.")
    tasks_done = models.PositiveIntegerField(default=0)
    tasks_total = models.PositiveIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    message = models.TextField(blank=True, help_text="Why it failed, for people.")
    content_hash = models.CharField(max_length=64, blank=True)
    manifest: models.JSONField[dict[str, Any] | None] = models.JSONField(null=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-number",)
        indexes: ClassVar = [
            models.Index(
                fields=["id"], condition=Q(state__in=UNFINISHED), name="snapshot_unfinished"
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "number"], name="snapshot_number_in_project"
            ),
            models.CheckConstraint(
                condition=Q(state__in=SnapshotState.values), name="snapshot_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state=SnapshotState.READY, manifest__isnull=False) & ~Q(content_hash="")
                | ~Q(state=SnapshotState.READY) & Q(content_hash="", manifest__isnull=True),
                name="snapshot_has_content_when_ready",
            ),
            models.CheckConstraint(
                condition=~Q(state=SnapshotState.FAILED) | ~Q(message=""),
                name="failed_snapshot_says_why",
            ),
            models.CheckConstraint(
                condition=Q(tasks_done__lte=F("tasks_total")), name="snapshot_progress_in_range"
            ),
            models.CheckConstraint(
                condition=Q(state__in=UNFINISHED, finished_at__isnull=True)
                | ~Q(state__in=UNFINISHED) & Q(finished_at__isnull=False),
                name="snapshot_finished_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project.slug} snapshot {self.number}"


class SnapshotRanking(models.Model):
    """A ranking that is in a snapshot: the way from a labeler to what learned from them."""

    snapshot = models.ForeignKey(
        Snapshot, on_delete=models.CASCADE, related_name="parts", db_index=False
    )
    ranking = models.ForeignKey(Ranking, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["snapshot", "ranking"], name="ranking_once_per_snapshot"
            ),
        ]

    def __str__(self) -> str:
        return f"ranking {self.ranking_id} in snapshot {self.snapshot_id}"
