"""One answer of a served model, with everything needed to know where it came from."""

from typing import ClassVar

from django.db import models

from annotate.models.round import RoundSource
from annotate.models.task import Task
from formats import completions
from inference.models import ServedModel


class Completion(models.Model):
    """Never edited: a trigger in the database refuses updates."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="completions")
    number = models.PositiveSmallIntegerField(help_text="0 to K-1 within the task.")
    text = models.TextField(blank=True)
    finish_reason = models.CharField(max_length=20)
    token_count = models.PositiveIntegerField()
    prompt_tokens = models.PositiveIntegerField()
    logprob_sum = models.FloatField(null=True, help_text="Natural log, over the completion.")

    source = models.ForeignKey(
        RoundSource, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    served_model = models.ForeignKey(ServedModel, on_delete=models.PROTECT, related_name="+")
    model_name = models.CharField(max_length=300, help_text="As the server answered it.")
    adapter_hash = models.CharField(max_length=64, blank=True)
    sampling = models.JSONField()
    chat_template_hash = models.CharField(max_length=64, blank=True)
    replica = models.CharField(max_length=200)
    latency_ms = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "number"], name="completion_number_in_task"),
        ]

    def __str__(self) -> str:
        return self.text[:60]

    @property
    def written(self) -> completions.Completion:
        """What was written, to compare it with others."""
        return completions.Completion(self.text, self.finish_reason == completions.CUT_OFF)
