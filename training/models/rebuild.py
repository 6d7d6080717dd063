"""An adapter trained again without some of what it learned from."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from annotate.models import Project, User
from training.models.adapter import TrainedAdapter
from training.models.run import TrainingRun
from training.models.snapshot import Snapshot


class Rebuild(models.Model):
    """First the snapshot, whose spec says what is left out; once it is ready, the run."""

    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="rebuilds", db_index=False
    )
    adapter = models.ForeignKey(TrainedAdapter, on_delete=models.PROTECT, related_name="rebuilds")
    parent = models.ForeignKey(
        TrainedAdapter, on_delete=models.PROTECT, null=True, related_name="+"
    )
    judge = models.ForeignKey(TrainedAdapter, on_delete=models.PROTECT, null=True, related_name="+")
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="+")
    run = models.OneToOneField(
        TrainingRun, on_delete=models.PROTECT, null=True, related_name="rebuild"
    )
    message = models.TextField(blank=True, help_text="Why there will be no run.")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        indexes: ClassVar = [
            models.Index(fields=["project", "-id"], name="rebuild_page"),
            models.Index(
                fields=["id"], condition=Q(run=None, message=""), name="rebuild_unfinished"
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(run=None) | Q(message=""), name="rebuild_has_run_or_says_why"
            ),
        ]

    def __str__(self) -> str:
        return f"rebuild of {self.adapter}"
