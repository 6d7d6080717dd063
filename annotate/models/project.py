"""A project: its guidelines, how its labelers judge, and who takes part."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from annotate.models.user import User, refuse_unseen
from formats.bounds import OVERLAP, K


class Rationale(models.TextChoices):
    OFF = "off", "not asked"
    OPTIONAL = "optional", "optional"
    REQUIRED = "required", "required"


class Project(models.Model):
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    guidelines = models.TextField(blank=True, help_text="Markdown that labelers read.")

    k_default = models.PositiveSmallIntegerField(
        default=4, validators=[MinValueValidator(K.least), MaxValueValidator(K.most)]
    )
    ties_allowed = models.BooleanField(default=True)
    strength = models.BooleanField(default=False, help_text="Ask how much better.")
    axes = models.JSONField(default=list, blank=True, help_text="[{key, name, min, max}]")
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    rationale = models.CharField(
        max_length=10, choices=Rationale.choices, default=Rationale.OPTIONAL
    )
    write_better = models.BooleanField(default=True)

    overlap = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(OVERLAP.least), MaxValueValidator(OVERLAP.most)],
        help_text="How many people rank the same task.",
    )
    lease_seconds = models.PositiveIntegerField(
        default=1800, validators=[MinValueValidator(30), MaxValueValidator(86_400)]
    )
    created_at = models.DateTimeField(auto_now_add=True)

    members: models.ManyToManyField[User, "Membership"] = models.ManyToManyField(
        User, through="Membership", related_name="projects"
    )

    class Meta:
        ordering = ("name",)
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(k_default__range=K.ends), name="project_k_between_2_and_9"
            ),
            models.CheckConstraint(
                condition=Q(overlap__range=OVERLAP.ends), name="project_overlap_in_range"
            ),
            models.CheckConstraint(
                condition=Q(lease_seconds__range=(30, 86_400)), name="project_lease_in_range"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """What stands on buttons and in lists can be seen, and reads in its own direction."""
        axes = self.axes if isinstance(self.axes, list) else []
        spoken = [str(axis.get("name", "")) for axis in axes if isinstance(axis, dict)]
        refuse_unseen({"name": [self.name], "tags": self.tags, "axes": spoken})


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    ADMIN = "admin", "Admin"
    REVIEWER = "reviewer", "Reviewer"
    LABELER = "labeler", "Labeler"
    VIEWER = "viewer", "Viewer"


class Membership(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "user"], name="one_membership_per_person"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.project}"
