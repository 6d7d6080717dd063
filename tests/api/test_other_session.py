"""A tab whose session became another person's: what it writes is refused as such, and not done."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from knox.models import AuthToken
from rest_framework.test import APIClient

from annotate.models import Claim, Draft, Ranking, Round, User
from tests.api.scene import ranking_body

Write = Callable[[APIClient, dict[str, int], dict[str, str]], Any]


def _post(path: str, body: Any = None) -> Write:
    def write(client: APIClient, ids: dict[str, int], headers: dict[str, str]) -> Any:
        return client.post(path.format(**ids), body, format="json", headers=headers)

    return write


def _put(path: str, body: Any) -> Write:
    def write(client: APIClient, ids: dict[str, int], headers: dict[str, str]) -> Any:
        return client.put(path.format(**ids), body, format="json", headers=headers)

    return write


WRITES: dict[str, Write] = {
    "next": _post("/api/projects/tone/claims", {}),
    "submit": _post("/api/claims/{held}/ranking", ranking_body()),
    "draft": _put("/api/claims/{held}/draft", {"body": {"tiers": [["A"]]}}),
    "renew": _post("/api/claims/{held}/renew"),
    "release": _post("/api/claims/{held}/release"),
    "skip": _post("/api/claims/{held}/skip", {"reason": "unclear"}),
    "flag": _post("/api/claims/{held}/flag", {"kind": "broken"}),
    "undo": _post("/api/rankings/{ranking}/undo"),
    "revise": _post("/api/rankings/{ranking}/revisions", ranking_body()),
    "sign out": lambda client, ids, headers: client.delete("/api/session", headers=headers),
    "token": _post("/api/tokens"),
}


@pytest.fixture
def lenas(lena: APIClient, round_one: Round) -> dict[str, int]:
    """A task that Lena holds and a ranking of hers."""
    ranked = lena.post("/api/projects/tone/claims", {}, format="json").json()["claim"]["id"]
    sent = lena.post(f"/api/claims/{ranked}/ranking", ranking_body(), format="json")
    held = lena.post("/api/projects/tone/claims", {}, format="json").json()["claim"]["id"]
    return {"ranking": sent.json()["id"], "held": held}


def said_by(user: User) -> dict[str, str]:
    return {"X-Prefloop-User": str(user.pk)}


@pytest.mark.parametrize("write", WRITES)
def test_what_lenas_tab_writes_is_not_done_in_luiss_session(
    luis: APIClient, lena_user: User, lenas: dict[str, int], write: str
) -> None:
    response = WRITES[write](luis, lenas, said_by(lena_user))
    assert response.status_code == 409, response.content
    error = response.json()["error"]
    assert (error["code"], error["signed_in"]) == ("other_session", "Luis")
    assert Ranking.objects.get().current
    assert Claim.objects.get(pk=lenas["held"]).state == "live"
    assert Claim.objects.count() == 2, "Luis got no task that his tab does not show"
    assert not Draft.objects.exists()
    assert not AuthToken.objects.exists()
    assert luis.get("/api/queues").status_code == 200


@pytest.mark.parametrize("write", ["submit", "draft", "renew", "skip", "flag", "undo", "revise"])
def test_it_is_done_when_lena_is_back(
    lena: APIClient, lena_user: User, lenas: dict[str, int], write: str
) -> None:
    response = WRITES[write](lena, lenas, said_by(lena_user))
    assert response.status_code in (200, 201), response.content


def test_who_says_nothing_is_the_sessions_user(lena: APIClient, lenas: dict[str, int]) -> None:
    assert WRITES["submit"](lena, lenas, {}).status_code == 201


def test_a_token_speaks_for_its_own_user_only(
    lena: APIClient, lena_user: User, luis_user: User, lenas: dict[str, int]
) -> None:
    token = lena.post("/api/tokens").json()["token"]
    script = APIClient(headers={"Authorization": f"Token {token}"})
    refused = WRITES["submit"](script, lenas, said_by(luis_user))
    assert refused.json()["error"]["code"] == "other_session"
    assert WRITES["submit"](script, lenas, said_by(lena_user)).status_code == 201


def test_nobody_signed_in_is_still_a_missing_sign_in(lena_user: User) -> None:
    path = f"/api/claims/{uuid4().int % 1000}/renew"
    assert APIClient().post(path, headers=said_by(lena_user)).status_code == 401
