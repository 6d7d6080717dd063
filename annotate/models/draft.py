"""What a labeler is about to say of a task; it outlives the claim that it began under."""

from typing import ClassVar

from django.db import models

from annotate.models.task import Task
from annotate.models.user import User


class DraftText(models.Model):
    """A text of one writer, which is a page that somebody has open.

    step: the writer's own count of its changes: of two of its requests that overtook each other,
    the higher one is the later.
    """

    writer = models.CharField(max_length=36, blank=True, default="", db_default="")
    step = models.BigIntegerField(default=0, db_default=0)
    body = models.JSONField()
    saved_at = models.DateTimeField()

    class Meta:
        abstract = True


class Draft(DraftText):
    """The newest text. A trigger gives each change a version that no draft ever had before."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+", db_index=False)
    labeler = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    version = models.BigIntegerField(default=0, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "labeler"], name="one_draft_per_labeler"),
        ]

    def __str__(self) -> str:
        return f"draft of {self.labeler}"


class KeptDraft(DraftText):
    """A text that was made from an older version than the newest: kept beside it, never over it."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+", db_index=False)
    labeler = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["task", "labeler", "writer"], name="one_kept_draft_per_writer"
            ),
        ]

    def __str__(self) -> str:
        return f"kept draft of {self.labeler}"
