"""What a labeler said of a task's completions."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from annotate.models.claim import Claim
from annotate.models.project import Project
from annotate.models.round import Round
from annotate.models.task import Task
from annotate.models.user import User


class Ranking(models.Model):
    """Append-only: an edit is a new revision that supersedes, an undo marks it withdrawn.

    A trigger in the database refuses to change what was said. Completions are named by id.
    `tiers`: [[id, …], …] best first, ties inside a tier; `strengths`: one entry for each pair
    of neighbouring tiers, 3 significantly, 2 clearly, 1 slightly, null not said;
    `unacceptable`: [{"completion": id, "reason": text}]; `ratings`: {axis: {id: number}}.
    A ranking that fills a slot counts towards the overlap; one without is a kept extra.
    """

    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="rankings", db_index=False
    )
    round = models.ForeignKey(
        Round, on_delete=models.PROTECT, related_name="rankings", db_index=False
    )
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="rankings")
    claim = models.ForeignKey(Claim, on_delete=models.PROTECT, related_name="rankings")
    labeler = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="rankings", db_index=False
    )
    key = models.UUIDField(help_text="The client's idempotency key.")
    order = ArrayField(models.BigIntegerField(), help_text="Completion ids as shown.")
    tiers = models.JSONField()
    unacceptable = models.JSONField(default=list)
    strengths = models.JSONField(default=list)
    ratings = models.JSONField(default=dict)
    tags = ArrayField(models.CharField(max_length=40), default=list)
    rationale = models.TextField(blank=True)
    active_ms = models.PositiveIntegerField(default=0)
    could_look = models.BooleanField(
        null=True,
        help_text="Its labeler's role let them export what names the models and what others said. "
        "Not known of rankings from before this was recorded.",
    )

    revision = models.PositiveIntegerField(default=1)
    supersedes = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="superseded_by"
    )
    current = models.BooleanField(default=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["project", "-id"], name="ranking_page"),
            models.Index(fields=["round", "-id"], name="ranking_page_of_round"),
            models.Index(fields=["labeler", "-id"], name="ranking_page_of_labeler"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["labeler", "key"], name="one_ranking_per_idempotency_key"
            ),
            models.UniqueConstraint(
                fields=["task", "labeler"],
                condition=Q(current=True),
                name="one_current_ranking_per_labeler",
            ),
            models.CheckConstraint(
                condition=Q(current=False) | Q(withdrawn_at__isnull=True),
                name="withdrawn_ranking_is_not_current",
            ),
        ]

    def __str__(self) -> str:
        return f"ranking {self.pk} by {self.labeler}"
