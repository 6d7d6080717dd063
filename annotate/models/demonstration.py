"""An ideal answer that a labeler wrote or edited."""

from typing import ClassVar

from django.db import models

from annotate.models.completion import Completion
from annotate.models.prompt import Prompt
from annotate.models.ranking import Ranking
from annotate.models.user import User


class Demonstration(models.Model):
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="demonstrations")
    labeler = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    ranking = models.OneToOneField(Ranking, on_delete=models.PROTECT, related_name="demonstration")
    started_from = models.ForeignKey(
        Completion, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=~models.Q(text=""), name="demonstration_is_not_empty"),
        ]

    def __str__(self) -> str:
        return self.text[:60]
