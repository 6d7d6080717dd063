"""Somebody was asked to take part in a project, and has not answered yet."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from annotate.models.project import Project, Role
from annotate.models.user import User

# Of a project that are not answered yet.
MAX_INVITATIONS = 200


class Invitation(models.Model):
    """By user name, whether or not anybody has it: who invites learns nothing about accounts.

    No membership, so that nothing that asks for one has to tell the two apart.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    username = models.CharField(max_length=150, db_index=True)
    role = models.CharField(max_length=10, choices=Role.choices)
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "username"], name="invited_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.username} is asked to be {self.role} of {self.project}"
