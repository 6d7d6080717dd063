"""The example project that is there when somebody starts Prefloop for the first time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from annotate.models import Membership, Project, Role, User
from annotate.services.prompts import import_prompts

FOLDER = Path(__file__).resolve().parent.parent / "examples"
SLUG = "example"


@dataclass(frozen=True, slots=True)
class ExampleUser:
    username: str
    first_name: str
    last_name: str
    role: Role
    admin: bool = False


USERS = (
    ExampleUser("ada", "Ada", "Admin", Role.OWNER, admin=True),
    ExampleUser("lena", "Lena", "Labeler", Role.LABELER),
    ExampleUser("luis", "Luis", "Labeler", Role.LABELER),
)


@transaction.atomic
def load_example(*, passwords: Mapping[str, str]) -> Project:
    """The example project with its people and prompts; loading it again changes nothing.

    passwords: by user name, for people who do not exist yet.
    """
    project, created = Project.objects.get_or_create(
        slug=SLUG,
        defaults={
            "name": "Example: everyday requests",
            "description": "Real requests from people, to try Prefloop with.",
            "guidelines": (FOLDER / "guidelines.md").read_text(encoding="utf-8"),
            "tags": ["factual error", "does not follow the request", "repeats itself"],
            "axes": [
                {"key": "helpful", "name": "Helpful", "min": 1, "max": 5},
                {"key": "harmless", "name": "Harmless", "min": 1, "max": 5},
            ],
        },
    )
    for person in USERS:
        user = _user(person, passwords)
        if created:
            Membership.objects.create(project=project, user=user, role=person.role)
    if created:
        source = (FOLDER / "prompts.jsonl").read_bytes()
        import_prompts(project_id=project.pk, actor_id=None, source=source, format="jsonl")
    return project


def _user(person: ExampleUser, passwords: Mapping[str, str]) -> User:
    user = User.objects.filter(username=person.username).first()
    if user is not None:
        return user
    return User.objects.create_user(
        person.username,
        password=passwords[person.username],
        first_name=person.first_name,
        last_name=person.last_name,
        is_staff=person.admin,
        is_superuser=person.admin,
    )
