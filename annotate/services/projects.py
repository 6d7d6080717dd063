"""Setting up a project and who takes part in it."""

from secrets import token_hex
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from annotate.errors import Conflict, Forbidden, Invalid, NotFound
from annotate.models import Invitation, Membership, Project, Role, User
from annotate.queries import projects as queries
from annotate.queries.access import LABEL
from annotate.services import audit, claims
from annotate.versions import refuse_outdated

EDITABLE = frozenset(
    [
        "name",
        "description",
        "guidelines",
        "k_default",
        "ties_allowed",
        "strength",
        "axes",
        "tags",
        "rationale",
        "write_better",
        "overlap",
        "lease_seconds",
    ]
)


@transaction.atomic
def create_project(*, actor_id: int, slug: str = "", **values: Any) -> Project:
    """A new project owned by its creator. Raises Invalid for bad values and a taken address.

    slug: its address; if empty, one is made of the name, or any when the name has no Latin letters.
    """
    slug = slug or slugify(values.get("name", ""))[:60] or f"project-{token_hex(4)}"
    if Project.objects.filter(slug=slug).exists():
        raise _taken(slug)
    try:
        with transaction.atomic():
            project = _saved(Project(slug=slug), values)
    except IntegrityError:  # by somebody at the same moment
        raise _taken(slug) from None
    Membership.objects.create(project=project, user_id=actor_id, role=Role.OWNER)
    audit.record(verb="created", of=project, project_id=project.pk, actor_id=actor_id)
    return project


@transaction.atomic
def update_project(
    *, project_id: int, actor_id: int, base: str | None = None, **values: Any
) -> Project:
    """Change a project's settings; rounds that run keep the K and overlap they began with.

    Whoever has a task in hand is judged by what it showed them: the claim keeps its settings.
    base: the version that was edited. Raises Conflict when it is not the newest, Invalid.
    """
    project = Project.objects.select_for_update().get(pk=project_id)
    refuse_outdated(base, queries.version(project), "the settings")
    project = _saved(project, values)
    audit.record(
        verb="changed",
        of=project,
        project_id=project.pk,
        actor_id=actor_id,
        fields=", ".join(sorted(values)),
    )
    return project


def _taken(slug: str) -> Invalid:
    message = f"The address “{slug}” is taken. Choose another name or address."
    return Invalid(message, fields={"slug": [message]})


def _saved(project: Project, values: dict[str, Any]) -> Project:
    for name, value in values.items():
        if name not in EDITABLE:
            raise Invalid(f"A project has no setting {name}.", fields={name: ["Unknown."]})
        setattr(project, name, value)
    keys = [axis["key"] for axis in project.axes]
    if len(set(keys)) < len(keys):
        message = "Two rating axes have the same key. Give each its own."
        raise Invalid(message, fields={"axes": [message]})
    try:
        project.full_clean()
    except ValidationError as problem:
        fields = {name: list(texts) for name, texts in problem.message_dict.items()}
        first = next(iter(fields.values()))[0]
        raise Invalid(f"The project cannot be saved: {first}", fields=fields) from None
    project.save()
    return project


@transaction.atomic
def add_member(*, project_id: int, actor_id: int, username: str, role: Role) -> Membership:
    """Let a person take part without asking them, which is for superusers alone.

    Others invite (`services.invitations`). Raises Invalid for an unknown name, Conflict for a
    member.
    """
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        message = f"Nobody here is called “{username}”. Ask them for their user name."
        raise Invalid(message, fields={"username": [message]})
    refuse_unless_owner(project_id, actor_id, role)
    try:
        with transaction.atomic():
            membership = Membership.objects.create(project_id=project_id, user=user, role=role)
    except IntegrityError:
        raise Conflict(f"{username} is a member already; change the role instead.") from None
    Invitation.objects.filter(project_id=project_id, username=username).delete()
    audit.record(
        verb="added",
        of=membership,
        project_id=project_id,
        actor_id=actor_id,
        username=username,
        role=str(role),
    )
    return membership


@transaction.atomic
def change_role(
    *, project_id: int, actor_id: int, membership_id: int, role: Role, base: str | None = None
) -> Membership:
    """Give a member another role; a project keeps at least one owner or admin.

    base: the role that they had where it was changed. Raises Conflict when it is another by now.
    """
    membership = _member(project_id, pk=membership_id)
    refuse_outdated(base, str(membership.role), f"the role of {membership.user.username}")
    before, membership.role = Role(membership.role), role
    refuse_unless_owner(project_id, actor_id, before, role)
    membership.save(update_fields=["role"])
    if role not in LABEL:
        claims.release_all(project_id=project_id, labeler_id=membership.user_id)
    _refuse_without_manager(project_id)
    audit.record(
        verb="changed role",
        of=membership,
        project_id=project_id,
        actor_id=actor_id,
        username=membership.user.username,
        before=str(before),
        after=str(role),
    )
    return membership


@transaction.atomic
def remove_member(*, project_id: int, actor_id: int, membership_id: int) -> None:
    """End a person's part in the project; what they ranked stays, what they hold goes back."""
    membership = _member(project_id, pk=membership_id)
    refuse_unless_owner(project_id, actor_id, Role(membership.role))
    _end(membership, "removed", actor_id)


@transaction.atomic
def leave(*, project_id: int, user_id: int) -> None:
    """End one's own part, in any role; the last owner or admin stays. Raises NotFound, Conflict."""
    _end(_member(project_id, user_id=user_id), "left", user_id)


def _end(membership: Membership, verb: str, actor_id: int) -> None:
    audit.record(
        verb=verb,
        of=membership,
        project_id=membership.project_id,
        actor_id=actor_id,
        username=membership.user.username,
    )
    membership.delete()
    claims.release_all(project_id=membership.project_id, labeler_id=membership.user_id)
    _refuse_without_manager(membership.project_id)


def _member(project_id: int, **which: int) -> Membership:
    Project.objects.select_for_update().get(pk=project_id)
    membership = (
        Membership.objects.select_related("user").filter(project_id=project_id, **which).first()
    )
    if membership is None:
        raise NotFound
    return membership


def refuse_unless_owner(project_id: int, actor_id: int, *roles: Role) -> None:
    """An admin neither appoints nor removes owners."""
    if Role.OWNER not in roles:
        return
    owners = Membership.objects.filter(project_id=project_id, user_id=actor_id, role=Role.OWNER)
    if not (owners.exists() or User.objects.filter(pk=actor_id, is_superuser=True).exists()):
        raise Forbidden("Only an owner of this project may appoint or remove owners.")


def _refuse_without_manager(project_id: int) -> None:
    managers = Membership.objects.filter(project_id=project_id, role__in=(Role.OWNER, Role.ADMIN))
    if not managers.exists():
        raise Conflict("A project needs an owner or an admin. Appoint another one first.")
