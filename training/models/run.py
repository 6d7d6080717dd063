"""A training run: what it does, how far it is, how it ended."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q

from annotate.models import Project, User
from training.models.snapshot import Snapshot


class RunState(models.TextChoices):
    QUEUED = "queued", "waiting for a worker"
    RUNNING = "running", "running"
    FINISHED = "finished", "finished"
    FAILED = "failed", "failed"
    CANCELED = "canceled", "canceled"


UNFINISHED_RUNS = (RunState.QUEUED, RunState.RUNNING)


class TrainingRun(models.Model):
    """A run of the engine, in a process of its own on the machine of a `train` worker.

    `spec` is the engine's RunSpec as JSON; its paths are those inside of the run folder. A worker
    holds a running run by `lease`, which changes with every start, and by its heartbeat: a run
    whose heartbeat is old goes back to the queue, and another worker takes it up.
    """

    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="runs", db_index=False
    )
    number = models.PositiveIntegerField()
    method = models.CharField(max_length=10)
    preset = models.CharField(max_length=40, blank=True)
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="runs")
    parent = models.ForeignKey(
        "TrainedAdapter",
        on_delete=models.PROTECT,
        null=True,
        related_name="children",
        help_text="The adapter that it goes on from, or is held to.",
    )
    judge = models.ForeignKey(
        "TrainedAdapter",
        on_delete=models.PROTECT,
        null=True,
        related_name="rewarded",
        help_text="The reward adapter that RLOO, GRPO and PPO learn from.",
    )
    spec: models.JSONField[dict[str, Any]] = models.JSONField()
    estimate: models.JSONField[dict[str, Any] | None] = models.JSONField(
        null=True, help_text="Memory that it will take, as the engine estimates it."
    )
    state = models.CharField(max_length=10, choices=RunState.choices, default=RunState.QUEUED)
    stop_requested = models.BooleanField(
        default=False, help_text="Somebody canceled it: it saves a checkpoint and ends."
    )
    lease = models.UUIDField(null=True, help_text="Of the start that is at work.")
    worker = models.CharField(max_length=255, blank=True, help_text="Machine of the last start.")
    starts = models.PositiveIntegerField(default=0)
    losses = models.PositiveSmallIntegerField(
        default=0, help_text="How often its worker was lost since it last made a step."
    )
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    phase = models.CharField(max_length=100, blank=True)
    step = models.PositiveIntegerField(default=0)
    steps = models.PositiveIntegerField(null=True)
    log = models.TextField(blank=True, help_text="The end of what the process wrote.")
    message = models.TextField(blank=True, help_text="Why it failed, for people.")
    advice = models.TextField(blank=True)
    warnings: models.JSONField[list[str]] = models.JSONField(default=list)
    measured: models.JSONField[dict[str, Any] | None] = models.JSONField(
        null=True, help_text="The engine's evaluation.json."
    )
    made: models.JSONField[dict[str, Any] | None] = models.JSONField(
        null=True, help_text="The engine's run.json: versions, seeds, data, device, memory."
    )
    data_report: models.JSONField[dict[str, Any] | None] = models.JSONField(
        null=True, help_text="The engine's data_report.json: what was left out of the data."
    )
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-number",)
        indexes: ClassVar = [
            models.Index(
                fields=["id"], condition=Q(state__in=UNFINISHED_RUNS), name="run_unfinished"
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "number"], name="run_number_in_project"),
            models.CheckConstraint(condition=Q(state__in=RunState.values), name="run_state_known"),
            models.CheckConstraint(
                condition=Q(state=RunState.RUNNING, lease__isnull=False, heartbeat_at__isnull=False)
                | ~Q(state=RunState.RUNNING) & Q(lease__isnull=True),
                name="run_is_held_while_it_runs",
            ),
            models.CheckConstraint(
                condition=~Q(state=RunState.FAILED) | ~Q(message=""), name="failed_run_says_why"
            ),
            models.CheckConstraint(
                condition=Q(steps__isnull=True) | Q(step__lte=F("steps")),
                name="run_progress_in_range",
            ),
            models.CheckConstraint(
                condition=Q(state__in=UNFINISHED_RUNS, finished_at__isnull=True)
                | ~Q(state__in=UNFINISHED_RUNS) & Q(finished_at__isnull=False),
                name="run_finished_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project.slug} run {self.number}"


class RunMetric(models.Model):
    """A line of the engine's metrics.jsonl."""

    run = models.ForeignKey(
        TrainingRun, on_delete=models.CASCADE, related_name="metrics", db_index=False
    )
    position = models.PositiveIntegerField(help_text="Of the line in the file.")
    values: models.JSONField[dict[str, Any]] = models.JSONField()

    class Meta:
        ordering = ("position",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "position"], name="metric_position_in_run"),
        ]

    def __str__(self) -> str:
        return f"line {self.position} of {self.run_id}"
