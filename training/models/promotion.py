"""Which adapter a project's model became, when, by whom, and what it was before."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from annotate.models import Project, Stale, User
from training.models.adapter import TrainedAdapter
from training.models.evaluation import Evaluation


class PromotionState(models.TextChoices):
    QUEUED = "queued", "waiting for the swap"
    SWAPPING = "swapping", "being swapped in"
    DONE = "done", "done"
    FAILED = "failed", "failed"


UNFINISHED_PROMOTIONS = (PromotionState.QUEUED, PromotionState.SWAPPING)
# What requests go by, whether or not the open rounds follow yet.
IN_FORCE = Q(state=PromotionState.DONE) | Q(flipped_at__isnull=False)


class PromotionKind(models.TextChoices):
    PROMOTE = "promote", "promoted"
    ROLL_BACK = "roll_back", "rolled back"


class Promotion(models.Model):
    """One at a time in a project. No adapter: the base.

    `flipped_at` is set in the transaction in which the inference alias, which is what requests go
    by, gets its new meaning: from then on the promotion is what the project's model is, and only
    goes forward. What is left, letting the open rounds follow, is done again until it is done.
    """

    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="promotions", db_index=False
    )
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=PromotionKind.choices)
    adapter = models.ForeignKey(
        TrainedAdapter, on_delete=models.PROTECT, null=True, related_name="promotions"
    )
    previous = models.ForeignKey(
        TrainedAdapter, on_delete=models.PROTECT, null=True, related_name="+"
    )
    evaluation = models.ForeignKey(
        Evaluation, on_delete=models.PROTECT, null=True, related_name="promotions"
    )
    state = models.CharField(
        max_length=10, choices=PromotionState.choices, default=PromotionState.QUEUED
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    reason = models.TextField(blank=True, help_text="Why it was done, as the actor or gate said.")
    message = models.TextField(blank=True, help_text="What it waits for, or why it failed.")
    stale = models.CharField(
        max_length=10,
        choices=Stale.choices,
        default=Stale.KEEP,
        help_text="What becomes of open tasks that the former model wrote.",
    )
    stale_tasks = models.PositiveIntegerField(
        default=0, help_text="Open tasks that were marked stale or are written anew."
    )
    created_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", help_text="None: the loop."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    flipped_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when requests get the new model."
    )
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-number",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "number"], name="promotion_number_in_project"
            ),
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(state__in=UNFINISHED_PROMOTIONS),
                name="one_promotion_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(state__in=PromotionState.values), name="promotion_state_known"
            ),
            models.CheckConstraint(
                condition=Q(stale__in=Stale.values), name="promotion_stale_known"
            ),
            models.CheckConstraint(
                condition=~Q(state=PromotionState.FAILED) | ~Q(message=""),
                name="failed_promotion_says_why",
            ),
            models.CheckConstraint(
                condition=~Q(state=PromotionState.FAILED) | Q(flipped_at__isnull=True),
                name="failed_promotion_is_not_served",
            ),
            models.CheckConstraint(
                condition=Q(state__in=UNFINISHED_PROMOTIONS, finished_at__isnull=True)
                | ~Q(state__in=UNFINISHED_PROMOTIONS) & Q(finished_at__isnull=False),
                name="promotion_finished_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project.slug} promotion {self.number}"
