"""A conversation that ends with a user's turn, waiting for answers."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import Q

from annotate.models.project import Project
from formats.bounds import TAG


class Split(models.TextChoices):
    TRAIN = "train", "train"
    HELD_OUT = "held_out", "held out"


class Prompt(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    messages = models.JSONField(help_text="[{role, content}], ending with the user's turn.")
    documents = models.JSONField(default=list, help_text="[{title, text}] retrieved context.")
    tags = ArrayField(models.CharField(max_length=TAG), default=list)
    external_id = models.CharField(max_length=200, blank=True)
    content_hash = models.CharField(max_length=64)
    split = models.CharField(max_length=10, choices=Split.choices)
    excerpt = models.CharField(max_length=300, help_text="Start of the last user turn.")
    turns = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    search = models.GeneratedField(
        expression=SearchVector("excerpt", config="simple"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        ordering = ("id",)
        indexes: ClassVar = [
            GinIndex(fields=["search"], name="prompt_search"),
            GinIndex(fields=["tags"], name="prompt_tags"),
            models.Index(fields=["project", "id"], name="prompt_page"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "content_hash"], name="prompt_once_per_project"
            ),
            models.CheckConstraint(condition=Q(split__in=Split.values), name="prompt_split_known"),
        ]

    def __str__(self) -> str:
        return self.excerpt[:60]
