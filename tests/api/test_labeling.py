"""A labeler takes a task, ranks it, changes their mind, and goes on."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from annotate.models import (
    Claim,
    Comparison,
    Demonstration,
    JudgingSettings,
    Project,
    Ranking,
    Round,
    Slot,
    User,
)
from tests import cast

NEXT = "/api/projects/tone/claims"
TIERS = [["B"], ["A", "D"], ["C"]]


def said(**changes: Any) -> dict[str, Any]:
    return {"key": str(uuid4()), "tiers": TIERS, "active_ms": 4200, **changes}


def take(client: APIClient, have: list[int] | None = None) -> dict[str, Any]:
    response = client.post(NEXT, {"have": have or []}, format="json")
    assert response.status_code == 200, response.content
    claim: dict[str, Any] = response.json()["claim"]
    return claim


def submit(client: APIClient, claim: int, body: dict[str, Any]) -> Any:
    return client.post(f"/api/claims/{claim}/ranking", body, format="json")


@pytest.fixture
def lenas_claim(lena: APIClient, round_one: Round) -> dict[str, Any]:
    return take(lena)


def test_a_claim_is_blind_and_whole(lenas_claim: dict[str, Any]) -> None:
    assert [response["label"] for response in lenas_claim["responses"]] == list("ABCD")
    assert set(lenas_claim["responses"][0]) == {"label", "text", "cut_off"}
    assert lenas_claim["prompt"]["messages"][-1]["role"] == "user"
    assert lenas_claim["draft"] is None


@pytest.fixture
def lenas_twins(lena: APIClient, project: Project, ada_user: User) -> dict[str, Any]:
    """A claim whose answers 0 and 2 are the same; the letters are shuffled, so by number."""
    cast.add_prompts(project, 1)
    round_ = cast.make_round(project, ada_user)
    cast.write_completions(round_, ["I'm sorry.", "Blue.", "I'm sorry. \n", "Red."])
    claim = take(lena)
    order = Claim.objects.get(pk=claim["id"]).order
    numbers = {each.pk: each.number for each in round_.tasks.get().completions.all()}
    claim["letter"] = {numbers[key]: "ABCD"[place] for place, key in enumerate(order)}
    return claim


def test_the_same_answer_twice_is_tied_and_the_desk_says_so(
    lena: APIClient, lenas_twins: dict[str, Any]
) -> None:
    letter = lenas_twins["letter"]
    twins = sorted([letter[0], letter[2]])
    assert lenas_twins["alike"] == [twins]

    tiers = [[letter[0]], [letter[1]], [letter[2]], [letter[3]]]
    body = said(tiers=tiers, strengths=[1, 1, 3])
    response = submit(lena, lenas_twins["id"], body)

    assert response.status_code == 201, response.content
    assert response.json()["alike"] == [twins]
    assert submit(lena, lenas_twins["id"], body).json()["alike"] == [twins]  # a replay too
    found = {
        (each.winner.number, each.loser.number): (each.tie, each.strength)
        for each in Comparison.objects.all()
    }
    # Both stand in the tier of the better placed one; the step behind them is the sum.
    assert found == {
        (0, 2): (True, 0),
        (0, 1): (False, 1),
        (2, 1): (False, 1),
        (0, 3): (False, 3),
        (2, 3): (False, 3),
        (1, 3): (False, 3),
    }
    kept = Ranking.objects.get()
    assert kept.tiers == [[dict_of(kept)[name]] for (name,) in tiers]  # as it was entered
    shown = lena.get(f"/api/rankings/{kept.pk}").json()
    assert (shown["alike"], shown["tiers"]) == ([twins], tiers)


def dict_of(ranking: Ranking) -> dict[str, int]:
    return dict(zip("ABCD", ranking.order, strict=True))


def test_the_same_answer_may_be_tied_where_ties_are_not_allowed(
    lena: APIClient, lenas_twins: dict[str, Any]
) -> None:
    # As if it had been claimed after that: a claim keeps the settings that it showed.
    Project.objects.update(ties_allowed=False)
    Claim.objects.update(settings=JudgingSettings.objects.latest("pk"))
    letter = lenas_twins["letter"]

    other = said(tiers=[[letter[0]], [letter[1], letter[3]], [letter[2]]])
    assert submit(lena, lenas_twins["id"], other).status_code == 400
    twins = said(tiers=[[letter[0], letter[2]], [letter[1]], [letter[3]]])
    assert submit(lena, lenas_twins["id"], twins).status_code == 201


def test_different_answers_are_not_alike(lenas_claim: dict[str, Any]) -> None:
    assert lenas_claim["alike"] == []


def test_a_ranking_is_stored_as_it_was_said(lena: APIClient, lenas_claim: dict[str, Any]) -> None:
    body = said(
        unacceptable=[{"label": "C", "reason": "made up"}],
        strengths=[2, 1],
        ratings={"helpful": {"B": 5}},
        tags=["wrong"],
        rationale="B is right.",
        demonstration={"text": "Better.", "from": "B"},
    )
    response = submit(lena, lenas_claim["id"], body)
    assert response.status_code == 201, response.content
    assert response.json()["counted"] is True

    ranking = Ranking.objects.get()
    place = dict(zip("ABCD", Claim.objects.get().order, strict=True))
    assert ranking.tiers == [[place["B"]], [place["A"], place["D"]], [place["C"]]]
    assert ranking.unacceptable == [{"completion": place["C"], "reason": "made up"}]
    assert Comparison.objects.filter(ranking=ranking).count() == 6
    tie = Comparison.objects.get(tie=True)
    assert {tie.winner_id, tie.loser_id} == {place["A"], place["D"]}
    best_worst = Comparison.objects.get(winner_id=place["B"], loser_id=place["C"])
    assert best_worst.strength == 3
    assert best_worst.loser_unacceptable
    assert Demonstration.objects.get().started_from_id == place["B"]

    shown = lena.get(f"/api/rankings/{ranking.pk}").json()
    assert shown["tiers"] == TIERS
    assert shown["demonstration"] == {"text": "Better.", "from": "B"}
    assert shown["responses"][0]["provenance"] is None


def test_the_same_key_again_returns_the_same_receipt(
    lena: APIClient, lenas_claim: dict[str, Any]
) -> None:
    body = said()
    first = submit(lena, lenas_claim["id"], body)
    again = submit(lena, lenas_claim["id"], body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert Ranking.objects.count() == 1


def test_a_second_tab_is_told_about_the_first(lena: APIClient, lenas_claim: dict[str, Any]) -> None:
    first = submit(lena, lenas_claim["id"], said()).json()
    second = submit(lena, lenas_claim["id"], said(tiers=[["A"], ["B"], ["C"], ["D"]]))
    assert second.status_code == 409
    assert second.json()["error"]["code"] == "already_ranked"
    assert second.json()["error"]["ranking"] == first["id"]


def test_a_revision_supersedes_and_keeps_the_old(
    lena: APIClient, lenas_claim: dict[str, Any]
) -> None:
    first = submit(lena, lenas_claim["id"], said()).json()
    body = said(tiers=[["A"], ["B"], ["C"], ["D"]])
    address = f"/api/rankings/{first['id']}/revisions"
    revised = lena.post(address, body, format="json")
    assert revised.status_code == 201, revised.content
    assert revised.json()["revision"] == 2
    assert revised.json()["counted"] is True
    assert lena.post(address, body, format="json").status_code == 200
    assert Ranking.objects.count() == 2
    old = Ranking.objects.get(pk=first["id"])
    assert not old.current
    assert not Comparison.objects.filter(ranking=old).exists()
    assert Comparison.objects.count() == 6
    assert Slot.objects.get(claim=lenas_claim["id"]).ranking_id == revised.json()["id"]


def test_undo_takes_the_task_up_again(lena: APIClient, lenas_claim: dict[str, Any]) -> None:
    receipt = submit(lena, lenas_claim["id"], said(rationale="first thought")).json()
    undone = lena.post(f"/api/rankings/{receipt['id']}/undo")
    assert undone.status_code == 200, undone.content
    claim = undone.json()["claim"]
    assert claim["id"] == lenas_claim["id"]
    assert claim["responses"] == lenas_claim["responses"]
    assert claim["draft"]["tiers"] == TIERS
    assert claim["draft"]["rationale"] == "first thought"
    assert not Comparison.objects.exists()
    assert submit(lena, claim["id"], said()).json()["counted"] is True


def test_undo_twice_is_undo_once(lena: APIClient, lenas_claim: dict[str, Any]) -> None:
    receipt = submit(lena, lenas_claim["id"], said()).json()
    for _ in range(2):
        assert lena.post(f"/api/rankings/{receipt['id']}/undo").status_code == 200
    assert Ranking.objects.filter(current=True).count() == 0


def test_the_draft_comes_back_after_a_reload(lena: APIClient, lenas_claim: dict[str, Any]) -> None:
    body = {"tiers": [["B"]], "rationale": "so far"}
    saved = lena.put(f"/api/claims/{lenas_claim['id']}/draft", {"body": body}, format="json")
    assert saved.status_code == 200, saved.content
    again = take(lena)
    assert again["id"] == lenas_claim["id"]
    assert again["draft"] == body
    assert again["responses"] == lenas_claim["responses"]


def test_the_next_task_is_another_one(lena: APIClient, lenas_claim: dict[str, Any]) -> None:
    ahead = take(lena, have=[lenas_claim["id"]])
    assert ahead["id"] != lenas_claim["id"]
    assert ahead["prompt"] != lenas_claim["prompt"]


def test_a_late_ranking_is_kept_as_an_extra(
    lena: APIClient, luis: APIClient, lenas_claim: dict[str, Any], round_one: Round
) -> None:
    expire(lenas_claim["id"])
    luis_claim = take(luis)
    assert luis_claim["prompt"] == lenas_claim["prompt"]
    assert submit(luis, luis_claim["id"], said()).json()["counted"] is True
    late = submit(lena, lenas_claim["id"], said())
    assert late.status_code == 201
    assert late.json()["counted"] is False
    assert Ranking.objects.filter(current=True).count() == 2


def test_an_expired_claim_that_nobody_took_still_counts(
    lena: APIClient, lenas_claim: dict[str, Any]
) -> None:
    expire(lenas_claim["id"])
    assert submit(lena, lenas_claim["id"], said()).json()["counted"] is True


def test_renewing_a_lost_claim_says_so(
    lena: APIClient, luis: APIClient, lenas_claim: dict[str, Any]
) -> None:
    assert lena.post(f"/api/claims/{lenas_claim['id']}/renew").status_code == 200
    expire(lenas_claim["id"])
    take(luis)
    lost = lena.post(f"/api/claims/{lenas_claim['id']}/renew")
    assert lost.status_code == 409
    assert lost.json()["error"]["code"] == "claim_lost"


@pytest.mark.parametrize("verb", ["skip", "flag"])
def test_a_declined_task_is_not_offered_again(
    lena: APIClient, luis: APIClient, lenas_claim: dict[str, Any], verb: str
) -> None:
    body = {"kind": "harmful", "note": "bad"} if verb == "flag" else {"reason": "unsure"}
    for _ in range(2):  # a replay changes nothing
        response = lena.post(f"/api/claims/{lenas_claim['id']}/{verb}", body, format="json")
        assert response.status_code == 200, response.content
    seen = []
    while claim := take(lena):
        seen.append(claim["prompt"])
        submit(lena, claim["id"], said())
    assert len(seen) == 2
    assert lenas_claim["prompt"] not in seen
    assert take(luis)["prompt"] == lenas_claim["prompt"]


def test_a_released_task_comes_back(lena: APIClient, lenas_claim: dict[str, Any]) -> None:
    assert lena.post(f"/api/claims/{lenas_claim['id']}/release").status_code == 204
    again = take(lena)
    assert again["prompt"] == lenas_claim["prompt"]
    assert again["id"] > lenas_claim["id"]


@pytest.mark.parametrize(
    ("tiers", "code"),
    [
        ([["A"], ["B"], ["C"]], "missing_response"),
        ([["A"], ["B"], ["C"], ["D"], ["E"]], "unknown_response"),
        ([["A", "A"], ["B"], ["C"], ["D"]], "doubled_response"),
        ([["A"], [], ["B", "C", "D"]], "empty_tier"),
    ],
)
def test_a_broken_ranking_is_refused_in_words(
    lena: APIClient, lenas_claim: dict[str, Any], tiers: list[list[str]], code: str
) -> None:
    response = submit(lena, lenas_claim["id"], said(tiers=tiers))
    assert response.status_code == 400
    assert response.json()["error"]["code"] == code
    assert not Ranking.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"unacceptable": [{"label": "B", "reason": ""}]},
        {"strengths": [1, 2, 3]},
        {"strengths": [7, 1]},
        {"ratings": {"helpful": {"B": 9}}},
        {"ratings": {"speed": {"B": 1}}},
        {"tags": ["unheard of"]},
        {"tiers": "BADC"},
        {"tiers": []},
        {"key": "not-a-key"},
        {"active_ms": -1},
    ],
)
def test_what_does_not_fit_the_project_is_refused(
    lena: APIClient, lenas_claim: dict[str, Any], changes: dict[str, Any]
) -> None:
    response = submit(lena, lenas_claim["id"], said(**changes))
    assert response.status_code == 400, response.content
    assert response.json()["error"]["fields"]


def test_a_required_rationale_is_asked_for(
    lena: APIClient, project: Project, round_one: Round
) -> None:
    Project.objects.update(rationale="required")
    response = submit(lena, take(lena)["id"], said())
    assert response.json()["error"]["code"] == "rationale_required"


def test_nobody_touches_a_claim_of_somebody_else(
    luis: APIClient, mallory: APIClient, ada: APIClient, lenas_claim: dict[str, Any]
) -> None:
    claim = lenas_claim["id"]
    for client in (luis, mallory, ada):
        assert submit(client, claim, said()).status_code == 404
        assert client.post(f"/api/claims/{claim}/renew").status_code == 404
        assert client.post(f"/api/claims/{claim}/release").status_code == 404
        draft = client.put(f"/api/claims/{claim}/draft", {"body": {}}, format="json")
        assert draft.status_code == 404
    assert not Ranking.objects.exists()


def test_a_closed_round_keeps_what_comes_late(
    lena: APIClient, ada: APIClient, lenas_claim: dict[str, Any]
) -> None:
    receipt = submit(lena, lenas_claim["id"], said()).json()
    ahead = take(lena, have=[lenas_claim["id"]])
    assert ada.post("/api/projects/tone/rounds/1/close").status_code == 200
    assert submit(lena, ahead["id"], said()).status_code == 201
    undo = lena.post(f"/api/rankings/{receipt['id']}/undo")
    assert undo.status_code == 409
    assert undo.json()["error"]["code"] == "round_closed"


def expire(claim_id: int) -> None:
    past = timezone.now() - timedelta(hours=1)
    Claim.objects.filter(pk=claim_id).update(expires_at=past)
    Slot.objects.filter(claim_id=claim_id).update(lease_until=past)
