"""One pair of a current ranking: a winner and a loser, or a tie."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from annotate.models.completion import Completion
from annotate.models.ranking import Ranking


class Comparison(models.Model):
    """Derived from a ranking by `annotate.ranking` in the ranking's own transaction.

    In a tie the sides are in the order of the completion ids. Few keys and one index, because
    a ranking of nine completions writes 36 of these rows.
    """

    ranking = models.ForeignKey(
        Ranking, on_delete=models.CASCADE, related_name="comparisons", db_index=False
    )
    winner = models.ForeignKey(
        Completion, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    loser = models.ForeignKey(
        Completion, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    tie = models.BooleanField()
    strength = models.PositiveSmallIntegerField(null=True)
    winner_unacceptable = models.BooleanField()
    loser_unacceptable = models.BooleanField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["ranking", "winner", "loser"], name="pair_once_per_ranking"
            ),
            models.CheckConstraint(
                condition=~Q(winner=F("loser")), name="comparison_of_two_completions"
            ),
            models.CheckConstraint(
                condition=Q(strength__isnull=True) | Q(strength__range=(0, 3)),
                name="comparison_strength_in_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.winner_id} {'=' if self.tie else '>'} {self.loser_id}"
