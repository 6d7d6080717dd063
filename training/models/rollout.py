"""What a policy answered while it learned, to be looked at."""

from typing import ClassVar

from django.db import models

from training.models.run import TrainingRun


class RunRollout(models.Model):
    """A line of the engine's rollouts.jsonl: training.runs.rollout_keeping says which are kept.

    Rewards are as their sources gave them; `score` is what the policy learned from, scaled and with
    penalties. KL is in nats from the reference, of the whole answer.
    """

    run = models.ForeignKey(
        TrainingRun, on_delete=models.CASCADE, related_name="rollouts", db_index=False
    )
    step = models.PositiveIntegerField()
    number = models.PositiveIntegerField(help_text="Among the answers of the step, from 0.")
    place = models.PositiveBigIntegerField(help_text="Of the line in the file, in bytes.")
    mark = models.CharField(max_length=16, help_text="Digest of the line.")
    prompt: models.JSONField[list[dict[str, str]]] = models.JSONField(help_text="Messages.")
    answer = models.TextField(blank=True)
    finished = models.BooleanField(help_text="Whether it ended by itself and was not cut off.")
    tokens = models.PositiveIntegerField()
    reward = models.FloatField()
    rewards: models.JSONField[dict[str, float]] = models.JSONField(
        help_text="Of each source by its name, before its weight."
    )
    score = models.FloatField()
    kl = models.FloatField()
    values: models.JSONField[list[float]] = models.JSONField(
        help_text="What the critic expected at each token; zeros without a critic."
    )
    shortened = models.BooleanField(help_text="Texts or values were longer than what is kept.")

    class Meta:
        ordering = ("step", "number")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "step", "number"], name="rollout_in_step"),
        ]

    def __str__(self) -> str:
        return f"answer {self.number} of step {self.step} of {self.run_id}"
