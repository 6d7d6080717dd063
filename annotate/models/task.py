"""A prompt with its completions, and the places for the people who rank it."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from annotate.models.prompt import Prompt
from annotate.models.round import Round


class TaskState(models.TextChoices):
    PENDING = "pending", "waiting for completions"
    READY = "ready", "ready to be ranked"
    FAILED = "failed", "no completions to be had"


class Task(models.Model):
    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="tasks")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="tasks")
    position = models.PositiveIntegerField()
    required = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=TaskState.choices, default=TaskState.PENDING)
    failure = models.TextField(blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    stale = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Written by what the project's model was before: labelers get it last.",
    )

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["round", "state", "position"], name="task_by_state"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["round", "prompt"], name="prompt_once_per_round"),
            models.UniqueConstraint(fields=["round", "position"], name="position_once_per_round"),
            models.CheckConstraint(
                condition=Q(state__in=TaskState.values), name="task_state_known"
            ),
        ]

    def __str__(self) -> str:
        return f"task {self.position} of {self.round}"


class Slot(models.Model):
    """A place for one ranking of a task.

    A task has exactly `required` of them, so the database itself refuses a surplus: a claim
    holds a slot, a ranking fills it, and there is no further row to hold or fill.
    `round`, `position` and `stale` are repeated from the task because the queue is read through
    them.
    """

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="slots", db_index=False)
    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="+", db_index=False)
    position = models.PositiveIntegerField()
    stale = models.BooleanField(default=False, db_default=False)
    number = models.PositiveSmallIntegerField()
    claim = models.OneToOneField(
        "annotate.Claim", on_delete=models.SET_NULL, null=True, related_name="slot"
    )
    lease_until = models.DateTimeField(null=True)
    ranking = models.OneToOneField(
        "annotate.Ranking", on_delete=models.PROTECT, null=True, related_name="slot"
    )

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["round", "stale", "position", "number"],
                condition=Q(ranking__isnull=True),
                name="slot_queue",
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "number"], name="slot_number_in_task"),
            models.CheckConstraint(
                condition=Q(claim__isnull=True) | Q(lease_until__isnull=False),
                name="slot_held_until_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"slot {self.number} of {self.task}"
