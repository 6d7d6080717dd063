"""The loop of a project: when it turns, what a turn does, and what each turn did."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from annotate.models import Project, Round, User
from training.models.evaluation import Evaluation
from training.models.promotion import Promotion
from training.models.run import TrainingRun
from training.models.snapshot import Snapshot


class LoopPolicy(models.Model):
    """`settings` is training.loop.policy.LoopSettings as JSON. `owner` is who the loop acts for."""

    project = models.OneToOneField(Project, on_delete=models.PROTECT, related_name="loop_policy")
    active = models.BooleanField(default=False, help_text="Turns by itself; else by hand only.")
    settings: models.JSONField[dict[str, Any]] = models.JSONField()
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"loop of {self.project.slug}"


class StepState(models.TextChoices):
    RUNNING = "running", "running"
    PAUSED = "paused", "paused"
    DONE = "done", "done"
    FAILED = "failed", "failed"
    CANCELED = "canceled", "canceled"


UNFINISHED_STEPS = (StepState.RUNNING, StepState.PAUSED)


class Stage(models.TextChoices):
    SNAPSHOT = "snapshot", "snapshot"
    JUDGE = "judge", "training the judge"
    TRAIN = "train", "training"
    EVALUATE = "evaluate", "evaluation"
    HUMANS = "humans", "A/B round"
    GATE = "gate", "gate"
    PROMOTE = "promote", "promotion"
    ROUND = "round", "next round"


class LoopStep(models.Model):
    """One turn. `settings` is the policy's as they were when it began; at most one is unfinished.

    A failed step stays where it failed, and a retry goes on from there.
    """

    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="loop_steps", db_index=False
    )
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=StepState.choices, default=StepState.RUNNING)
    stage = models.CharField(max_length=10, choices=Stage.choices, default=Stage.SNAPSHOT)
    cause = models.TextField(help_text="Why it began, for people.")
    settings: models.JSONField[dict[str, Any]] = models.JSONField()
    waiting_for = models.TextField(blank=True, help_text="What it waits for now, for people.")
    message = models.TextField(blank=True, help_text="How it ended, for people.")
    promoted = models.BooleanField(null=True, help_text="Whether the gate was passed.")
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, null=True, related_name="+")
    judge_run = models.ForeignKey(
        TrainingRun, on_delete=models.PROTECT, null=True, related_name="+"
    )
    run = models.ForeignKey(TrainingRun, on_delete=models.PROTECT, null=True, related_name="+")
    evaluation = models.ForeignKey(
        Evaluation, on_delete=models.PROTECT, null=True, related_name="+"
    )
    ab_round = models.ForeignKey(Round, on_delete=models.PROTECT, null=True, related_name="+")
    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, null=True, related_name="+")
    round = models.ForeignKey(Round, on_delete=models.PROTECT, null=True, related_name="+")
    created_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", help_text="None: the policy."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-number",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "number"], name="step_number_in_project"),
            models.UniqueConstraint(
                fields=["project"], condition=Q(state__in=UNFINISHED_STEPS), name="one_loop_step"
            ),
            models.CheckConstraint(
                condition=Q(state__in=StepState.values, stage__in=Stage.values),
                name="loop_step_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=UNFINISHED_STEPS, finished_at__isnull=True)
                | ~Q(state__in=UNFINISHED_STEPS) & Q(finished_at__isnull=False),
                name="loop_step_finished_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project.slug} loop step {self.number}"


class LoopEvent(models.Model):
    """An entry of a step's timeline: a stage began, waited for something, ended."""

    step = models.ForeignKey(
        LoopStep, on_delete=models.CASCADE, related_name="events", db_index=False
    )
    position = models.PositiveIntegerField()
    stage = models.CharField(max_length=10, choices=Stage.choices)
    text = models.TextField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("position",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["step", "position"], name="event_position_in_step"),
        ]

    def __str__(self) -> str:
        return self.text
