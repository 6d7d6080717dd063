"""A labeler's hold on a place of a task."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from annotate.models.judging import JudgingSettings
from annotate.models.project import Project
from annotate.models.task import Task
from annotate.models.user import User


class ClaimState(models.TextChoices):
    LIVE = "live", "held"
    RANKED = "ranked", "ranked"
    SKIPPED = "skipped", "skipped"
    FLAGGED = "flagged", "flagged"
    RELEASED = "released", "given back"
    EXPIRED = "expired", "lost to somebody else after its lease ended"


# A labeler whose claim ended in one of these has had the task and is not offered it again.
SPENT_STATES = (ClaimState.LIVE, ClaimState.RANKED, ClaimState.SKIPPED, ClaimState.FLAGGED)


class FlagKind(models.TextChoices):
    HARMFUL = "harmful", "harmful"
    PERSONAL_DATA = "personal_data", "personal data"
    BROKEN = "broken", "broken"
    OTHER = "other", "other"


class Claim(models.Model):
    """Every hold is a row of its own, so its ever-growing id is the fencing token."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="claims")
    labeler = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="claims", db_index=False
    )
    state = models.CharField(max_length=10, choices=ClaimState.choices, default=ClaimState.LIVE)
    order = ArrayField(
        models.BigIntegerField(), help_text="Completion ids as they were shown: A, B, C…"
    )
    settings = models.ForeignKey(
        JudgingSettings,
        on_delete=models.RESTRICT,
        related_name="+",
        db_index=False,
        help_text="Those that its labeler was shown: what they say is judged by them.",
    )
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=40, blank=True, help_text="Of a skip or a flag.")
    note = models.TextField(blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["labeler", "project"],
                condition=Q(state=ClaimState.LIVE),
                name="claim_live_by_labeler",
            ),
            models.Index(fields=["labeler", "project", "-id"], name="claim_latest_by_labeler"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["task", "labeler"],
                condition=Q(state__in=SPENT_STATES),
                name="one_claim_per_task_and_labeler",
            ),
            models.CheckConstraint(
                condition=Q(state__in=ClaimState.values), name="claim_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state=ClaimState.LIVE) | Q(ended_at__isnull=False),
                name="claim_ended_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"claim {self.pk} of {self.labeler}"
