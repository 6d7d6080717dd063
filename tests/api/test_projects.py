"""Making a project and changing its settings."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from annotate.models import AuditEvent, Membership, Project, Role, User
from tests import cast
from tests.patience import PATIENCE_S

ADDRESS = "/api/projects"


@pytest.fixture(autouse=True)
def _ada_may_create(ada_user: User) -> None:
    cast.may_create_projects(ada_user)


def test_creating_projects_is_a_right(lena: APIClient, lena_user: User, ada: APIClient) -> None:
    for client, may in ((ada, True), (lena, False)):
        assert client.get("/api/session").json()["user"]["may_create_projects"] is may
    refused = lena.post(ADDRESS, {"name": "Mine"}, format="json")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "may_not_create_projects"
    assert "Ask whoever runs this Prefloop" in refused.json()["error"]["message"]
    assert not Project.objects.filter(name="Mine").exists()
    User.objects.filter(pk=lena_user.pk).update(is_superuser=True)
    lena.force_login(User.objects.get(pk=lena_user.pk))
    assert lena.post(ADDRESS, {"name": "Mine"}, format="json").status_code == 201


def test_whoever_creates_a_project_owns_it(lena: APIClient, lena_user: User) -> None:
    cast.may_create_projects(lena_user)
    made = lena.post(ADDRESS, {"name": "My Project"}, format="json")
    assert made.status_code == 201, made.content
    project = made.json()
    assert (project["slug"], project["role"]) == ("my-project", "owner")
    assert project["judging"]["k_default"] == 4
    assert project["counts"] == {
        "prompts": 0,
        "rounds": 0,
        "members": 1,
        "rankings": 0,
        "comparisons": 0,
    }
    assert lena.get(f"{ADDRESS}/my-project").json() == project
    names = [row["name"] for row in lena.get(ADDRESS).json()["results"]]
    assert names == ["My Project", "Tone"]


def test_all_settings_come_back(ada: APIClient, project: Project) -> None:
    settings: dict[str, Any] = {
        "name": "Tone & <b>manner</b>",
        "description": "What it is for.",
        "guidelines": "# Read\n\nthis <script>alert(1)</script>",
        "k_default": 9,
        "ties_allowed": False,
        "strength": False,
        "axes": [{"key": "kind", "name": "Kind", "min": -3, "max": 3}],
        "tags": ["one", "two"],
        "rationale": "required",
        "write_better": False,
        "overlap": 3,
        "lease_seconds": 60,
    }
    changed = ada.patch(f"{ADDRESS}/tone", settings, format="json")
    assert changed.status_code == 200, changed.content
    shown = ada.get(f"{ADDRESS}/tone").json()
    assert {**shown, **shown["judging"]} | settings == {**shown, **shown["judging"]}
    event = AuditEvent.objects.get(verb="changed")
    assert event.detail["fields"] == ", ".join(sorted(settings))


def test_what_is_left_out_stays(ada: APIClient, project: Project) -> None:
    before = ada.get(f"{ADDRESS}/tone").json()
    after = ada.patch(f"{ADDRESS}/tone", {"overlap": 2}, format="json").json()
    assert after == {**before, "overlap": 2, "version": after["version"]}


def test_settings_made_from_older_ones_are_refused_and_change_nothing(
    ada: APIClient, project: Project
) -> None:
    seen = ada.get(f"{ADDRESS}/tone").json()["version"]
    first = {"guidelines": "Be kind.", "base": seen}
    newest = ada.patch(f"{ADDRESS}/tone", first, format="json").json()
    assert newest["version"] != seen

    late = ada.patch(f"{ADDRESS}/tone", {"overlap": 3, "base": seen}, format="json")

    assert late.status_code == 409, late.content
    error = late.json()["error"]
    assert (error["code"], error["version"]) == ("outdated", newest["version"])
    assert "Look at what is saved now" in error["message"]
    assert ada.get(f"{ADDRESS}/tone").json() == newest
    again = {"overlap": 3, "base": newest["version"]}
    assert ada.patch(f"{ADDRESS}/tone", again, format="json").json()["overlap"] == 3


def test_a_client_that_names_no_version_means_the_newest(ada: APIClient, project: Project) -> None:
    for overlap in (2, 3):
        changed = ada.patch(f"{ADDRESS}/tone", {"overlap": overlap}, format="json")
        assert changed.json()["overlap"] == overlap


def test_the_same_settings_again_have_the_same_version(ada: APIClient, project: Project) -> None:
    before = ada.get(f"{ADDRESS}/tone").json()
    ada.patch(f"{ADDRESS}/tone", {"overlap": 9}, format="json")
    back = ada.patch(f"{ADDRESS}/tone", {"overlap": before["overlap"]}, format="json").json()
    assert back["version"] == before["version"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"k_default": 1}, "k_default"),
        ({"k_default": 10}, "k_default"),
        ({"overlap": 0}, "overlap"),
        ({"overlap": 26}, "overlap"),
        ({"lease_seconds": 29}, "lease_seconds"),
        ({"lease_seconds": 86_401}, "lease_seconds"),
        ({"rationale": "sometimes"}, "rationale"),
        ({"tags": ["x" * 41]}, "tags.0"),
        ({"axes": [{"key": "a", "name": "A", "min": 5, "max": 5}]}, "axes.0.non_field_errors"),
        ({"axes": [{"key": "a", "name": "A", "min": 1}]}, "axes.0.max"),
        ({"axes": [{"key": "two words", "name": "A", "min": 1, "max": 5}]}, "axes.0.key"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(
    ada: APIClient, project: Project, changes: dict[str, Any], field: str
) -> None:
    before = ada.get(f"{ADDRESS}/tone").json()
    for response in (
        ada.patch(f"{ADDRESS}/tone", changes, format="json"),
        ada.post(ADDRESS, {"name": "Another", **changes}, format="json"),
    ):
        assert response.status_code == 400, response.content
        assert field in response.json()["error"]["fields"]
    assert ada.get(f"{ADDRESS}/tone").json() == before
    assert Project.objects.count() == 1


def test_two_axes_of_one_key(ada: APIClient, project: Project) -> None:
    axis = {"key": "a", "name": "A", "min": 1, "max": 5}
    response = ada.patch(f"{ADDRESS}/tone", {"axes": [axis, axis]}, format="json")
    assert response.status_code == 400
    assert "axes" in response.json()["error"]["fields"]


def test_a_taken_address(ada: APIClient, project: Project) -> None:
    for body in ({"name": "Tone"}, {"name": "Other", "slug": "tone"}):
        response = ada.post(ADDRESS, body, format="json")
        assert response.status_code == 400
        assert "slug" in response.json()["error"]["fields"]


@pytest.mark.parametrize("name", ["声音", "!!!", "'; DROP TABLE users; --", "<b>"])
def test_a_name_of_other_letters(ada: APIClient, name: str) -> None:
    """A name that makes no address says so; any other is kept as it is."""
    response = ada.post(ADDRESS, {"name": name}, format="json")
    if response.status_code == 400:
        assert "slug" in response.json()["error"]["fields"]
        response = ada.post(ADDRESS, {"name": name, "slug": "fine"}, format="json")
    assert response.status_code == 201, response.content
    assert response.json()["name"] == name


def test_the_address_stays(ada: APIClient, project: Project) -> None:
    ada.patch(f"{ADDRESS}/tone", {"slug": "other", "name": "Renamed"}, format="json")
    assert Project.objects.get().slug == "tone"


def test_the_audit_tells_who_did_what(ada: APIClient, project: Project) -> None:
    ada.patch(f"{ADDRESS}/tone", {"name": "Renamed"}, format="json")
    rows = ada.get(f"{ADDRESS}/tone/audit").json()["results"]
    assert [(row["actor"], row["verb"]) for row in rows] == [("ada", "changed"), ("ada", "created")]
    first = ada.get(f"{ADDRESS}/tone/audit?limit=1").json()
    assert [row["verb"] for row in first["results"]] == ["changed"]
    second = ada.get(f"{ADDRESS}/tone/audit?limit=1&cursor={first['next']}").json()
    assert [row["verb"] for row in second["results"]] == ["created"]
    assert second["next"] is None


def test_roles_are_told_to_their_bearers(project: Project, lena: APIClient) -> None:
    assert lena.get(f"{ADDRESS}/tone").json()["role"] == "labeler"
    Membership.objects.filter(user__username="lena").update(role=Role.ADMIN)
    assert lena.get(f"{ADDRESS}/tone").json()["role"] == "admin"


@pytest.mark.django_db(transaction=True)
def test_one_address_asked_for_eight_times_at_once(ada_user: User) -> None:
    """Five of the eight were answered with 500."""
    begin = threading.Barrier(8)

    def create(_: int) -> int:
        client = cast.signed_in(ada_user)
        begin.wait(PATIENCE_S)
        answer = client.post(ADDRESS, {"name": "Tone", "slug": "tone"}, format="json")
        connections.close_all()
        return int(answer.status_code)

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(create, range(8)))
    assert statuses == [201, *[400] * 7]
    assert Project.objects.count() == 1


def test_a_name_without_latin_letters_gets_an_address(ada: APIClient) -> None:
    made = ada.post(ADDRESS, {"name": "日本"}, format="json").json()
    assert made["name"] == "日本"
    assert re.fullmatch("project-[0-9a-f]{8}", made["slug"])
    again = ada.post(ADDRESS, {"name": "日本"}, format="json").json()
    assert again["slug"] != made["slug"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "Tone \u202egpj.exe"}, "name"),
        ({"name": "Tone\u2066"}, "name"),
        ({"tags": ["good", "\u202ebad"]}, "tags"),
        ({"axes": [{"key": "a", "name": "\u202eA", "min": 1, "max": 5}]}, "axes"),
    ],
)
def test_a_name_that_turns_the_text_around_is_refused(
    ada: APIClient, project: Project, changes: dict[str, Any], field: str
) -> None:
    refused = ada.patch(f"{ADDRESS}/tone", changes, format="json")
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert "cannot be seen" in error["message"]
    assert list(error["fields"]) == [field]
    assert "\u202e" not in refused.content.decode()


def test_answers_are_kept_by_no_cache(ada: APIClient, project: Project) -> None:
    for address in (ADDRESS, "/api/session", "/api/queues", "/api/nothing", f"{ADDRESS}/other"):
        assert ada.get(address)["Cache-Control"] == "no-store"
