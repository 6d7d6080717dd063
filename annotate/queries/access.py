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
    whose role does not suffice. Superusers run every project.
    """
    membership = (
        Membership.objects.select_related("project").filter(user=user, project__slug=slug).first()
    )
    if membership is not None:
        access = Access(membership.project, Role(membership.role))
    elif user.is_superuser and (project := Project.objects.filter(slug=slug).first()):
        access = Access(project, Role.ADMIN)
    else:
        raise NotFound
    require(access.role, roles)
    return access


def labels_in(user: User, project_id: int) -> bool:
    """Whether the user labels in the project at present."""
    member = Membership.objects.filter(project_id=project_id, user=user, role__in=LABEL)
    return user.is_superuser or member.exists()


def require(role: Role | str, roles: frozenset[Role]) -> None:
    """Refuse a role that is not among `roles`."""
    if role not in roles:
        raise Forbidden(f"Only {_WHO_MAY.get(roles, 'others')} of this project may do this.")
