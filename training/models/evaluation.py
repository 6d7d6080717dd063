"""A candidate's answers against the incumbent's, judged by a reward model that saw neither."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from annotate.models import Project, Prompt, User
from training.models.adapter import TrainedAdapter
from training.models.snapshot import Snapshot


class EvaluationState(models.TextChoices):
    QUEUED = "queued", "waiting"
    ANSWERING = "answering", "answers are being written"
    JUDGING = "judging", "answers are being judged"
    READY = "ready", "ready"
    FAILED = "failed", "failed"
    CANCELED = "canceled", "canceled"


UNFINISHED_EVALUATIONS = (
    EvaluationState.QUEUED,
    EvaluationState.ANSWERING,
    EvaluationState.JUDGING,
)


class Side(models.TextChoices):
    CANDIDATE = "candidate", "candidate"
    INCUMBENT = "incumbent", "incumbent"


class Evaluation(models.Model):
    """On held-out prompts of the snapshot. No incumbent: the base itself. No judge: no win rate.

    `report` is the whole of what was found: the engine's measures of the run, the win rate with its
    interval, lengths.
    """

    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="evaluations", db_index=False
    )
    number = models.PositiveIntegerField()
    candidate = models.ForeignKey(
        TrainedAdapter, on_delete=models.PROTECT, related_name="evaluations"
    )
    incumbent = models.ForeignKey(
        TrainedAdapter, on_delete=models.PROTECT, null=True, related_name="+"
    )
    judge = models.ForeignKey(
        TrainedAdapter, on_delete=models.PROTECT, null=True, related_name="judged"
    )
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="evaluations")
    settings: models.JSONField[dict[str, Any]] = models.JSONField(
        help_text="training.evaluation.settings.EvaluationSettings."
    )
    state = models.CharField(
        max_length=10, choices=EvaluationState.choices, default=EvaluationState.QUEUED
    )
    prompts = models.PositiveIntegerField(default=0, help_text="How many both sides answer.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Without an answer gained.")
    message = models.TextField(blank=True, help_text="What it waits for, or why it failed.")
    report: models.JSONField[dict[str, Any] | None] = models.JSONField(null=True)
    lease = models.UUIDField(null=True, help_text="Of the judging that is at work.")
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-number",)
        indexes: ClassVar = [
            models.Index(
                fields=["id"],
                condition=Q(state__in=UNFINISHED_EVALUATIONS),
                name="evaluation_unfinished",
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "number"], name="evaluation_number_in_project"
            ),
            models.CheckConstraint(
                condition=Q(state__in=EvaluationState.values), name="evaluation_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state=EvaluationState.READY) | Q(report__isnull=False),
                name="ready_evaluation_has_report",
            ),
            models.CheckConstraint(
                condition=~Q(state=EvaluationState.FAILED) | ~Q(message=""),
                name="failed_evaluation_says_why",
            ),
            models.CheckConstraint(
                condition=Q(state__in=UNFINISHED_EVALUATIONS, finished_at__isnull=True)
                | ~Q(state__in=UNFINISHED_EVALUATIONS) & Q(finished_at__isnull=False),
                name="evaluation_finished_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project.slug} evaluation {self.number}"


class EvaluationAnswer(models.Model):
    """What one side answered to one prompt, and the judge's reward of it."""

    evaluation = models.ForeignKey(
        Evaluation, on_delete=models.CASCADE, related_name="answers", db_index=False
    )
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=10, choices=Side.choices)
    text = models.TextField(blank=True)
    tokens = models.PositiveIntegerField()
    finish_reason = models.CharField(max_length=20)
    adapter_hash = models.CharField(
        max_length=64, blank=True, help_text="Of the adapter that answered; empty: the base."
    )
    reward = models.FloatField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["evaluation", "prompt", "side"], name="one_answer_a_side"
            ),
            models.CheckConstraint(condition=Q(side__in=Side.values), name="answer_side_known"),
        ]

    def __str__(self) -> str:
        return f"{self.side} to prompt {self.prompt_id} in evaluation {self.evaluation_id}"
