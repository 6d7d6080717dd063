"""Asking people to take part in a project, and what they answer."""

from django.db import IntegrityError, transaction

from annotate.errors import Conflict, NotFound
from annotate.models import MAX_INVITATIONS, Invitation, Membership, Project, Role, User
from annotate.services import audit
from annotate.services.projects import refuse_unless_owner


@transaction.atomic
def invite(*, project_id: int, actor_id: int, username: str, role: Role) -> Invitation:
    """Ask a person to take part; they have no rights before they accept.

    The answer is the same whether or not anybody has that name: an account is found out by asking
    its owner, not by trying names. Raises Conflict for a member and for somebody asked already.
    """
    project = Project.objects.select_for_update().get(pk=project_id)
    refuse_unless_owner(project_id, actor_id, role)
    if project.memberships.filter(user__username=username).exists():
        raise Conflict(f"{username} is a member already; change the role instead.")
    if project.invitations.count() >= MAX_INVITATIONS:
        raise Conflict(
            f"{MAX_INVITATIONS} people have not answered yet. Take some invitations back first.",
            code="too_many_invitations",
        )
    try:
        with transaction.atomic():
            invitation = Invitation.objects.create(
                project=project, username=username, role=role, invited_by_id=actor_id
            )
    except IntegrityError:
        message = f"{username} is invited already. Take that invitation back to change the role."
        raise Conflict(message) from None
    _record("invited", invitation, actor_id)
    return invitation


@transaction.atomic
def withdraw(*, project_id: int, actor_id: int, invitation_id: int) -> None:
    """Take an invitation back that was not answered yet."""
    invitation = _locked(pk=invitation_id, project_id=project_id)
    refuse_unless_owner(project_id, actor_id, Role(invitation.role))
    _record("took back the invitation", invitation, actor_id)
    invitation.delete()


@transaction.atomic
def accept(*, invitation_id: int, user_id: int) -> Membership:
    """Take part, in the role that was offered. Raises NotFound when it was taken back."""
    invitation = _addressed(invitation_id, user_id)
    try:
        with transaction.atomic():
            membership = Membership.objects.create(
                project_id=invitation.project_id, user_id=user_id, role=invitation.role
            )
    except IntegrityError:  # made a member meanwhile, by a superuser
        membership = Membership.objects.get(project_id=invitation.project_id, user_id=user_id)
    _record("accepted the invitation", invitation, user_id)
    invitation.delete()
    return membership


@transaction.atomic
def decline(*, invitation_id: int, user_id: int) -> None:
    """Say no. The project's admins see it in the audit log, and may ask again."""
    invitation = _addressed(invitation_id, user_id)
    _record("declined the invitation", invitation, user_id)
    invitation.delete()


def _addressed(invitation_id: int, user_id: int) -> Invitation:
    user = User.objects.get(pk=user_id)
    return _locked(pk=invitation_id, username=user.username)


def _locked(**which: int | str) -> Invitation:
    invitation = (
        Invitation.objects.select_for_update(of=("self",))
        .select_related("project")
        .filter(**which)
        .first()
    )
    if invitation is None:
        raise NotFound
    return invitation


def _record(verb: str, invitation: Invitation, actor_id: int) -> None:
    audit.record(
        verb=verb,
        of=invitation,
        project_id=invitation.project_id,
        actor_id=actor_id,
        username=invitation.username,
        role=invitation.role,
    )
