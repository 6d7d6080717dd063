"""Who was asked to take part in a project, and has not answered yet."""

from typing import Any

from annotate.models import MAX_INVITATIONS, Invitation, Project, User

SHOWN = 100


def of_user(user: User) -> list[dict[str, Any]]:
    """What a person is asked, newest first (100 at most).

    Of the project only its name and what it says of itself: they are no member yet.
    """
    asked = Invitation.objects.filter(username=user.username).select_related(
        "project", "invited_by"
    )
    return [
        {
            "id": invitation.pk,
            "project": invitation.project.name,
            "description": invitation.project.description,
            "role": invitation.role,
            "invited_by": invitation.invited_by.display_name,
            "created_at": invitation.created_at,
        }
        for invitation in asked.order_by("-pk")[:SHOWN]
    ]


def of_project(project: Project) -> list[dict[str, Any]]:
    """Whom a project waits for, by the name that was typed."""
    return [
        row(invitation) for invitation in project.invitations.order_by("username")[:MAX_INVITATIONS]
    ]


def row(invitation: Invitation) -> dict[str, Any]:
    return {
        "id": invitation.pk,
        "username": invitation.username,
        "role": invitation.role,
        "created_at": invitation.created_at,
    }
