"""What a run left behind."""

from typing import Any, ClassVar

from django.db import models, transaction
from django.db.models import Q

from annotate.models import OwnedAdapter, Project
from training.models.run import TrainingRun


class TrainedAdapter(models.Model):
    """An adapter's files are in the storage `adapters`, in the folder named by `content_hash`.

    Immutable. `inference.Adapter` is the same content as it is served.
    """

    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="adapters", db_index=False
    )
    number = models.PositiveIntegerField()
    run = models.OneToOneField(TrainingRun, on_delete=models.PROTECT, related_name="adapter")
    base = models.CharField(max_length=255, help_text="Served name of the model under it.")
    content_hash = models.CharField(max_length=64, db_index=True)
    bytes = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-number",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "number"], name="adapter_number_in_project"),
            models.CheckConstraint(condition=~Q(content_hash=""), name="trained_adapter_hashed"),
        ]

    def __str__(self) -> str:
        return f"{self.project.slug} adapter {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """With it, its project becomes the owner of what its run made."""
        with transaction.atomic():
            super().save(*args, **kwargs)
            OwnedAdapter.objects.get_or_create(
                project_id=self.project_id, content_hash=self.content_hash
            )

    @property
    def rank(self) -> int | None:
        """LoRA's r, as its run was asked for it."""
        rank: int | None = (self.run.spec.get("lora") or {}).get("r")
        return rank

    @property
    def scores(self) -> bool:
        """Whether it is a reward model, which writes no answers."""
        return self.run.method == "reward"
