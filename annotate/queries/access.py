"""The one way to a project: through a membership with a role that suffices."""

from dataclasses import dataclass

from annotate.errors import Forbidden, NotFound
from annotate.models import Membership, Project, Role, User

MANAGE = frozenset({Role.OWNER, Role.ADMIN})
REVIEW = MANAGE | {Role.REVIEWER}
LABEL = REVIEW | {Role.LABELER}
SEE = frozenset(Role)
# Exports and other people's rankings are for those who run, review or consume the project.
READ_DATA = REVIEW | {Role.VIEWER}

_WHO_MAY = {
    MANAGE: "its admins",
    REVIEW: "its admins and reviewers",
    LABEL: "those who label",
    READ_DATA: "its admins, reviewers and viewers",
}


@dataclass(frozen=True, slots=True)
class Access:
    """A project as one of its members reaches it."""

    project: Project
    role: Role


def project_for(user: User, slug: str, roles: frozenset[Role] = SEE) -> Access:
    """The project and the user's role in it.

    Raises NotFound for strangers, who must not learn that it exists, and Forbidden for members
    whose role does not suffice.
    """
    membership = (
        Membership.objects.select_related("project").filter(user=user, project__slug=slug).first()
    )
    project = membership.project if membership else None
    if project is None and user.is_superuser:
        project = Project.objects.filter(slug=slug).first()
    role = role_of(user, membership)
    if project is None or role is None:
        raise NotFound
    require(role, roles)
    return Access(project, role)


def role_of(user: User, membership: Membership | None) -> Role | None:
    """What a person is in a project; None: a stranger.

    Superusers run every project, and no membership takes that away from them: else whoever adds
    them as a viewer would lock them out.
    """
    role = None if membership is None else Role(membership.role)
    return Role.ADMIN if user.is_superuser and role != Role.OWNER else role


def role_in(user: User, project_id: int) -> Role | None:
    """The same, of a project by its id."""
    return role_of(user, Membership.objects.filter(user=user, project_id=project_id).first())


def labels_in(user: User, project_id: int) -> bool:
    """Whether the user labels in the project at present."""
    return role_in(user, project_id) in LABEL


def may_create_projects(user: User) -> bool:
    """Whether the user has the right to create projects. Django's admin gives it."""
    return user.has_perm("annotate.add_project")


def runs_servers(user: User) -> bool:
    """Whether the user may see where the servers are, and all that they serve."""
    return user.is_staff or user.is_superuser


def require(role: Role | str, roles: frozenset[Role]) -> None:
    """Refuse a role that is not among `roles`."""
    if role not in roles:
        raise Forbidden(f"Only {_WHO_MAY.get(roles, 'others')} of this project may do this.")
