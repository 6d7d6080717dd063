"""How the labelers of a project judge, as it was set at a time."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from annotate.models.project import Project


class JudgingSettings(models.Model):
    """Append-only: a trigger adds a row whenever a project's settings change, by whatever way.

    The newest row of a project is what holds now. `content`: {k_default, ties_allowed, strength,
    axes, tags, rationale, write_better}, as the columns of Project.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judging_settings")
    content = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["project", "-id"], name="judging_settings_newest"),
        ]

    def __str__(self) -> str:
        return f"settings {self.pk} of {self.project}"
