"""One pass: which prompts, answered by which served models, ranked how often."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from annotate.models.project import Project
from annotate.models.user import User
from formats.bounds import MAX_TOKENS, OVERLAP, K
from inference.models import ServedModel


class RoundState(models.TextChoices):
    DRAFT = "draft", "draft"
    GENERATING = "generating", "generating"
    LABELING = "labeling", "labeling"
    CLOSED = "closed", "closed"
    FAILED = "failed", "failed"
    CANCELED = "canceled", "canceled"


OPEN_STATES = (RoundState.GENERATING, RoundState.LABELING)


class Stale(models.TextChoices):
    """What becomes of open tasks that were written by what the project's model was before."""

    KEEP = "keep", "kept"
    MARK = "mark", "marked stale"
    REGENERATE = "regenerate", "written anew"


class Round(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rounds")
    number = models.PositiveIntegerField()
    state = models.CharField(
        max_length=12, choices=RoundState.choices, default=RoundState.DRAFT, db_index=True
    )
    paused = models.BooleanField(default=False)
    k = models.PositiveSmallIntegerField()
    overlap = models.PositiveSmallIntegerField()
    prompt_filter = models.JSONField(default=dict)
    message = models.TextField(blank=True, help_text="Why it failed, for people.")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-number",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "number"], name="round_number_in_project"),
            models.CheckConstraint(condition=Q(k__range=K.ends), name="round_k_between_2_and_9"),
            models.CheckConstraint(
                condition=Q(overlap__range=OVERLAP.ends), name="round_overlap_in_range"
            ),
            models.CheckConstraint(
                condition=Q(state__in=RoundState.values), name="round_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[RoundState.DRAFT, RoundState.CANCELED])
                | Q(started_at__isnull=False),
                name="round_started_when_it_left_draft",
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True) | Q(closed_at__gte=F("created_at")),
                name="round_closed_after_created",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project.slug} round {self.number}"

    @property
    def open(self) -> bool:
        return self.state in OPEN_STATES


class RoundSource(models.Model):
    """A served model with its sampling parameters and its share of the completions."""

    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="sources")
    served_model = models.ForeignKey(ServedModel, on_delete=models.PROTECT, related_name="+")
    weight = models.PositiveSmallIntegerField(default=1)
    temperature = models.FloatField(default=0.8)
    top_p = models.FloatField(default=0.95)
    max_tokens = models.PositiveIntegerField(default=256)
    follows = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whatever the project's model is: served_model changes with it.",
    )

    class Meta:
        ordering = ("id",)
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(weight__range=(1, 100)), name="source_weight"),
            models.CheckConstraint(
                condition=Q(temperature__gte=0, temperature__lte=2), name="source_temperature"
            ),
            models.CheckConstraint(condition=Q(top_p__gt=0, top_p__lte=1), name="source_top_p"),
            models.CheckConstraint(
                condition=Q(max_tokens__range=MAX_TOKENS.ends), name="source_max_tokens"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.served_model} x{self.weight} at {self.temperature}"
