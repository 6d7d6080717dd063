"""What is changed in Django's admin stands in the project's own record."""

from typing import Any

import pytest
from django.test import Client

from annotate.models import AuditEvent, Claim, Membership, Project, Role, Round, User
from tests import cast


@pytest.fixture
def staff(ada_user: User) -> Client:
    ada_user.is_staff = ada_user.is_superuser = True
    ada_user.save()
    client = Client()
    client.force_login(ada_user)
    return client


def form_of(project: Project) -> dict[str, Any]:
    """The page's fields as a browser sends them, with the members as rows."""
    members = list(project.memberships.order_by("pk"))
    fields: dict[str, Any] = {
        "name": project.name,
        "slug": project.slug,
        "description": project.description,
        "guidelines": project.guidelines,
        "k_default": project.k_default,
        "ties_allowed": "on",
        "strength": "on",
        "axes": '[{"key": "helpful", "name": "Helpful", "min": 1, "max": 5}]',
        "tags": ",".join(project.tags),
        "rationale": project.rationale,
        "write_better": "on",
        "overlap": project.overlap,
        "lease_seconds": project.lease_seconds,
        "memberships-TOTAL_FORMS": len(members),
        "memberships-INITIAL_FORMS": len(members),
    }
    for number, member in enumerate(members):
        row = {"id": member.pk, "project": project.pk, "user": member.user_id, "role": member.role}
        fields |= {f"memberships-{number}-{name}": value for name, value in row.items()}
    return fields


def save(staff: Client, project: Project, **changes: Any) -> None:
    address = f"/admin/annotate/project/{project.pk}/change/"
    answer = staff.post(address, {**form_of(project), **changes})
    assert answer.status_code == 302, answer.content.decode()


def recorded() -> list[tuple[str, dict[str, Any]]]:
    events = AuditEvent.objects.filter(detail__by="admin").order_by("pk")
    return [(event.verb, event.detail) for event in events]


def test_settings(staff: Client, project: Project) -> None:
    save(staff, project, name="Tone of voice")
    assert recorded() == [("changed", {"by": "admin", "fields": "name"})]
    assert AuditEvent.objects.latest("pk").project_id == project.pk


def test_nothing_is_recorded_of_nothing(staff: Client, project: Project) -> None:
    save(staff, project)
    assert recorded() == []


def test_a_role(staff: Client, project: Project, round_one: Round, lena_user: User) -> None:
    cast.claim(lena_user, project)
    save(staff, project, **{"memberships-1-role": Role.VIEWER})
    assert recorded() == [
        (
            "changed role",
            {"by": "admin", "username": "lena", "before": "labeler", "after": "viewer"},
        )
    ]
    assert not Claim.objects.filter(state="live").exists(), "a viewer holds no task"


def test_a_member_more_and_one_less(staff: Client, project: Project, lena_user: User) -> None:
    luis = cast.person("luis")
    left = Membership.objects.get(user=lena_user)
    new = {"memberships-2-user": luis.pk, "memberships-2-role": "labeler"}
    new |= {"memberships-2-project": project.pk, "memberships-TOTAL_FORMS": 3}
    save(staff, project, **new, **{"memberships-1-DELETE": "on"})
    assert recorded() == [
        ("removed", {"by": "admin", "username": "lena"}),
        ("added", {"by": "admin", "username": "luis", "role": "labeler"}),
    ]
    assert AuditEvent.objects.get(verb="removed").object_id == str(left.pk)
