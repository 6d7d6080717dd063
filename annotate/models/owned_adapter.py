"""Which trained adapters are a project's own."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from annotate.models.project import Project


class OwnedAdapter(models.Model):
    """A project asks the adapters that its own runs made, and no other project's.

    By content: `inference.Adapter` is that content as it is served, if it ever was. Two projects
    whose runs made the same weights both own them.
    """

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="owned_adapters", db_index=False
    )
    content_hash = models.CharField(max_length=64, db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "content_hash"], name="owned_once"),
            models.CheckConstraint(condition=~Q(content_hash=""), name="owned_adapter_hashed"),
        ]

    def __str__(self) -> str:
        return f"{self.content_hash} of {self.project}"
