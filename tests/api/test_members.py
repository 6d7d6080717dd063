"""Who takes part in a project, and what becomes of the work of those who leave."""

import re
from typing import Any

import pytest
from rest_framework.test import APIClient

from annotate.models import AuditEvent, Claim, Membership, Project, Ranking, Role, Round, User
from annotate.services import invitations
from tests import cast
from tests.api.scene import ranking_body

ADDRESS = "/api/projects/tone/members"


def id_of(username: str) -> int:
    return Membership.objects.get(user__username=username, project__slug="tone").pk


@pytest.fixture
def root(db: None) -> APIClient:
    """A superuser who is in no project."""
    user = cast.person("root")
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    user.refresh_from_db()
    return cast.signed_in(user)


def ask(client: APIClient, username: str, role: str = "labeler") -> Any:
    return client.post(ADDRESS, {"username": username, "role": role}, format="json")


def test_a_person_is_asked_accepts_and_is_let_out(
    ada: APIClient, project: Project, mallory: APIClient
) -> None:
    asked = ask(ada, "mallory")
    assert asked.status_code == 201, asked.content
    assert asked.json()["member"] is None
    assert asked.json()["invited"]["username"] == "mallory"
    # Nothing is theirs before they say yes.
    assert mallory.get("/api/projects/tone").status_code == 404
    assert mallory.get("/api/queues").json()["results"] == []
    assert mallory.post("/api/projects/tone/claims", {}, format="json").status_code == 404
    (invitation,) = mallory.get("/api/invitations").json()["results"]
    assert (invitation["project"], invitation["role"]) == ("Tone", "labeler")
    assert invitation["invited_by"] == "Ada"

    accepted = mallory.post(f"/api/invitations/{invitation['id']}/accept")
    assert accepted.json() == {"slug": "tone"}
    assert mallory.get("/api/projects/tone").json()["role"] == "labeler"
    assert mallory.get("/api/invitations").json()["results"] == []
    shown = ada.get(ADDRESS).json()
    assert [row["username"] for row in shown["results"]] == ["ada", "mallory"]
    assert shown["invited"] == []

    member = f"{ADDRESS}/{id_of('mallory')}"
    changed = ada.patch(member, {"role": "reviewer"}, format="json")
    assert changed.json()["role"] == "reviewer"
    assert mallory.get("/api/projects/tone/rounds").status_code == 200

    assert ada.delete(member).status_code == 204
    assert mallory.get("/api/projects/tone").status_code == 404
    assert ada.delete(member).status_code == 404
    verbs = AuditEvent.objects.filter(detail__username="mallory").values_list("verb", flat=True)
    assert list(verbs) == ["invited", "accepted the invitation", "changed role", "removed"]


def test_who_declines_stays_out_and_may_be_asked_again(
    ada: APIClient, project: Project, mallory: APIClient
) -> None:
    ask(ada, "mallory")
    (invitation,) = mallory.get("/api/invitations").json()["results"]
    assert mallory.post(f"/api/invitations/{invitation['id']}/decline").status_code == 204
    assert mallory.post(f"/api/invitations/{invitation['id']}/accept").status_code == 404
    assert ada.get(ADDRESS).json()["invited"] == []
    assert not Membership.objects.filter(user__username="mallory").exists()
    assert ask(ada, "mallory").status_code == 201


def test_an_invitation_is_for_whom_it_names_until_it_is_taken_back(
    ada: APIClient, project: Project, mallory: APIClient, luis: APIClient
) -> None:
    asked = ask(ada, "mallory").json()["invited"]["id"]
    for step in ("accept", "decline"):
        assert luis.post(f"/api/invitations/{asked}/{step}").status_code == 404
    assert luis.delete(f"/api/projects/tone/invitations/{asked}").status_code == 403
    assert mallory.delete(f"/api/projects/tone/invitations/{asked}").status_code == 404
    assert ada.delete(f"/api/projects/tone/invitations/{asked}").status_code == 204
    assert mallory.post(f"/api/invitations/{asked}/accept").status_code == 404


def test_asking_tells_nothing_about_which_names_there_are(
    ada: APIClient, project: Project, mallory: APIClient
) -> None:
    old = cast.person("left-long-ago")
    User.objects.filter(pk=old.pk).update(is_active=False)
    answers = []
    for name in ("mallory", "nobody-has-this", "left-long-ago"):
        first, second = ask(ada, name), ask(ada, name)
        answers.append(
            [
                (answer.status_code, answer.content.decode().replace(name, "X"))
                for answer in (first, second)
            ]
        )
    shapes = [[(status, re.sub(r"\d+", "0", text)) for status, text in each] for each in answers]
    assert shapes[0] == shapes[1] == shapes[2]
    assert [status for status, _ in shapes[0]] == [201, 409]
    rows = ada.get(ADDRESS).json()["invited"]
    assert {frozenset(row) for row in rows} == {frozenset({"id", "username", "role", "created_at"})}


def test_open_invitations_are_bounded(
    ada: APIClient, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "MAX_INVITATIONS", 2)
    assert [ask(ada, f"name-{n}").status_code for n in range(3)] == [201, 201, 409]


def test_only_owners_ask_owners(ada: APIClient, lena: APIClient) -> None:
    ada.patch(f"{ADDRESS}/{id_of('lena')}", {"role": "admin"}, format="json")
    assert ask(lena, "mallory", "owner").status_code == 403
    asked = ask(ada, "mallory", "owner").json()["invited"]["id"]
    assert lena.delete(f"/api/projects/tone/invitations/{asked}").status_code == 403


def test_a_superuser_lets_people_in_without_asking(
    root: APIClient, project: Project, ada: APIClient, mallory: APIClient
) -> None:
    ask(ada, "mallory", "viewer")
    added = ask(root, "mallory", "reviewer")
    assert added.status_code == 201, added.content
    assert (added.json()["member"]["role"], added.json()["invited"]) == ("reviewer", None)
    assert mallory.get("/api/projects/tone").json()["role"] == "reviewer"
    assert mallory.get("/api/invitations").json()["results"] == []
    assert ask(root, "nobody-has-this").status_code == 400


@pytest.mark.parametrize("role", [Role.VIEWER, Role.LABELER, Role.REVIEWER, Role.ADMIN])
def test_no_membership_lowers_a_superuser(
    root: APIClient, project: Project, round_one: Round, role: Role
) -> None:
    user = User.objects.get(username="root")
    Membership.objects.create(project=project, user=user, role=role)
    assert root.get("/api/projects/tone").json()["role"] == "admin"
    assert root.get("/api/projects/tone/audit").status_code == 200
    assert root.patch("/api/projects/tone", {"overlap": 2}, format="json").status_code == 200
    (queue,) = root.get("/api/queues").json()["results"]
    assert (queue["role"], queue["waiting"]) == ("admin", 3)
    claim = root.post("/api/projects/tone/claims", {}, format="json").json()["claim"]
    done = root.post(f"/api/claims/{claim['id']}/ranking", ranking_body(), format="json")
    assert done.status_code == 201
    assert [row["role"] for row in root.get("/api/projects").json()["results"]] == ["admin"]


def test_anybody_may_leave(ada: APIClient, lena: APIClient, round_one: Round) -> None:
    held = lena.post("/api/projects/tone/claims", {}, format="json").json()["claim"]
    assert lena.delete("/api/projects/tone/membership").status_code == 204
    assert lena.get("/api/projects/tone").status_code == 404
    assert Claim.objects.get(pk=held["id"]).state == "released"
    assert lena.delete("/api/projects/tone/membership").status_code == 404
    assert ada.delete("/api/projects/tone/membership").status_code == 409
    assert AuditEvent.objects.get(verb="left").detail["username"] == "lena"


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
        ({"username": "", "role": "labeler"}, "username"),
        ({"username": "lena", "role": "king"}, "role"),
        ({"role": "labeler"}, "username"),
        ({"username": "lena"}, "role"),
    ],
)
def test_who_cannot_be_asked(
    ada: APIClient, lena_user: User, body: dict[str, Any], field: str
) -> None:
    response = ada.post(ADDRESS, body, format="json")
    assert response.status_code == 400
    assert field in response.json()["error"]["fields"]


def test_nobody_is_added_twice(ada: APIClient, lena_user: User) -> None:
    response = ada.post(ADDRESS, {"username": "lena", "role": "admin"}, format="json")
    assert response.status_code == 409
    assert Membership.objects.get(user=lena_user).role == Role.LABELER


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
