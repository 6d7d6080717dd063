"""Who takes part in a project, and what becomes of the work of those who leave."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from annotate.models import AuditEvent, Claim, Membership, Project, Ranking, Role, Round, User
from tests import cast
from tests.api.scene import ranking_body

ADDRESS = "/api/projects/tone/members"


def id_of(username: str) -> int:
    return Membership.objects.get(user__username=username, project__slug="tone").pk


def test_a_person_is_let_in_and_out(ada: APIClient, project: Project, mallory: APIClient) -> None:
    assert mallory.get("/api/projects/tone").status_code == 404
    added = ada.post(ADDRESS, {"username": "mallory", "role": "labeler"}, format="json")
    assert added.status_code == 201, added.content
    assert (added.json()["username"], added.json()["role"]) == ("mallory", "labeler")
    assert mallory.get("/api/projects/tone").status_code == 200
    assert [row["username"] for row in ada.get(ADDRESS).json()["results"]] == ["ada", "mallory"]

    member = f"{ADDRESS}/{added.json()['id']}"
    changed = ada.patch(member, {"role": "reviewer"}, format="json")
    assert changed.json()["role"] == "reviewer"
    assert mallory.get("/api/projects/tone/rounds").status_code == 200

    assert ada.delete(member).status_code == 204
    assert mallory.get("/api/projects/tone").status_code == 404
    assert ada.delete(member).status_code == 404
    verbs = AuditEvent.objects.filter(detail__username="mallory").values_list("verb", flat=True)
    assert list(verbs) == ["added", "changed role", "removed"]


def test_a_role_that_is_another_by_now_is_not_changed(ada: APIClient, lena_user: User) -> None:
    member = f"{ADDRESS}/{id_of('lena')}"
    seen = {"base": "labeler"}
    assert ada.patch(member, {"role": "viewer", **seen}, format="json").status_code == 200

    late = ada.patch(member, {"role": "admin", **seen}, format="json")

    assert (late.status_code, late.json()["error"]["code"]) == (409, "outdated")
    assert Membership.objects.get(user=lena_user).role == Role.VIEWER


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "nobody", "role": "labeler"}, "username"),
        ({"username": "", "role": "labeler"}, "username"),
        ({"username": "lena", "role": "king"}, "role"),
        ({"role": "labeler"}, "username"),
        ({"username": "lena"}, "role"),
    ],
)
def test_who_cannot_be_added(
    ada: APIClient, lena_user: User, body: dict[str, Any], field: str
) -> None:
    response = ada.post(ADDRESS, body, format="json")
    assert response.status_code == 400
    assert field in response.json()["error"]["fields"]


def test_nobody_is_added_twice(ada: APIClient, lena_user: User) -> None:
    response = ada.post(ADDRESS, {"username": "lena", "role": "admin"}, format="json")
    assert response.status_code == 409
    assert Membership.objects.get(user=lena_user).role == Role.LABELER


def test_who_left_the_company_is_not_added(ada: APIClient, project: Project) -> None:
    person = cast.person("old")
    User.objects.filter(pk=person.pk).update(is_active=False)
    response = ada.post(ADDRESS, {"username": "old", "role": "labeler"}, format="json")
    assert response.status_code == 400


def test_a_project_keeps_somebody_who_runs_it(ada: APIClient, lena_user: User) -> None:
    me = f"{ADDRESS}/{id_of('ada')}"
    assert ada.patch(me, {"role": "labeler"}, format="json").status_code == 409
    assert ada.delete(me).status_code == 409
    assert ada.get(ADDRESS).status_code == 200
    ada.patch(f"{ADDRESS}/{id_of('lena')}", {"role": "admin"}, format="json")
    assert ada.delete(me).status_code == 204


def test_only_owners_make_and_unmake_owners(ada: APIClient, lena: APIClient) -> None:
    ada.patch(f"{ADDRESS}/{id_of('lena')}", {"role": "admin"}, format="json")
    me = f"{ADDRESS}/{id_of('lena')}"
    owner = f"{ADDRESS}/{id_of('ada')}"
    for refused in (
        lena.patch(me, {"role": "owner"}, format="json"),
        lena.patch(owner, {"role": "viewer"}, format="json"),
        lena.delete(owner),
    ):
        assert refused.status_code == 403, refused.content
    assert ada.patch(me, {"role": "owner"}, format="json").status_code == 200


def test_the_work_of_who_leaves_stays(
    ada: APIClient, lena: APIClient, luis: APIClient, round_one: Round
) -> None:
    claim = lena.post("/api/projects/tone/claims", {}, format="json").json()["claim"]
    lena.post(f"/api/claims/{claim['id']}/ranking", ranking_body(), format="json")
    held = lena.post("/api/projects/tone/claims", {}, format="json").json()["claim"]
    assert ada.delete(f"{ADDRESS}/{id_of('lena')}").status_code == 204
    assert Ranking.objects.get().labeler.username == "lena"
    (row,) = ada.get("/api/projects/tone/rankings").json()["results"]
    assert row["labeler"] == "lena"
    assert lena.get("/api/rankings/mine").json()["results"] == []
    # What was in their hands goes to others at once, without waiting for the lease.
    prompts = []
    while taken := luis.post("/api/projects/tone/claims", {}, format="json").json()["claim"]:
        prompts.append(taken["prompt"])
        luis.post(f"/api/claims/{taken['id']}/ranking", ranking_body(), format="json")
    assert held["prompt"] in prompts
    assert Claim.objects.get(pk=held["id"]).state == "released"
