"""A skip or a flag is taken back, as long as that can be."""

from collections.abc import Iterator
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from annotate.models import AuditEvent, Claim, ClaimState, Membership, Ranking, Role, Round, Slot
from annotate.services.taking_back import take_back
from tests.api.scene import ranking_body
from tests.patience import PATIENCE_S

CLAIMS = "/api/projects/tone/claims"
BODIES = {"skip": {"reason": "language", "note": "Basque"}, "flag": {"kind": "broken"}}
both = pytest.mark.parametrize("verb", ["skip", "flag"])


def take(client: APIClient) -> dict[str, Any]:
    claim: dict[str, Any] = client.post(CLAIMS, {}, format="json").json()["claim"]
    return claim


def decline(client: APIClient, claim: int, verb: str) -> None:
    assert (
        client.post(f"/api/claims/{claim}/{verb}", BODIES[verb], format="json").status_code == 200
    )


def undo(client: APIClient, claim: int) -> Any:
    return client.post(f"/api/claims/{claim}/undo")


def verbs() -> list[str]:
    events = AuditEvent.objects.filter(object_type="task").order_by("id")
    return list(events.values_list("verb", flat=True))


@pytest.fixture
def claim(lena: APIClient, round_one: Round) -> dict[str, Any]:
    return take(lena)


@both
def test_the_task_comes_back_as_it_was(lena: APIClient, claim: dict[str, Any], verb: str) -> None:
    body = {"body": {"rationale": "half a thought"}}
    lena.put(f"/api/claims/{claim['id']}/draft", body, format="json")
    decline(lena, claim["id"], verb)
    for _ in range(2):  # twice is once: the answer to the first may have been lost
        response = undo(lena, claim["id"])
        assert response.status_code == 200, response.content
        again = response.json()["claim"]
        assert (again["id"], again["responses"]) == (claim["id"], claim["responses"])
        assert again["draft"]["rationale"] == "half a thought"
    held = Claim.objects.get()
    assert (held.state, held.reason, held.note, held.ended_at) == (ClaimState.LIVE, "", "", None)
    ranked = lena.post(f"/api/claims/{claim['id']}/ranking", ranking_body(), format="json")
    assert ranked.json()["counted"] is True


def test_a_flag_is_withdrawn_on_record(
    lena: APIClient, ada: APIClient, claim: dict[str, Any]
) -> None:
    decline(lena, claim["id"], "flag")
    assert len(ada.get("/api/projects/tone/rounds/1").json()["flags"]) == 1
    undo(lena, claim["id"])
    assert ada.get("/api/projects/tone/rounds/1").json()["flags"] == []
    assert verbs() == ["flagged", "withdrew flag"]
    told = AuditEvent.objects.get(verb="withdrew flag")
    assert (told.detail["kind"], told.actor) == ("broken", Claim.objects.get().labeler)


def test_a_skip_that_others_have_stays_and_says_so(
    lena: APIClient, luis: APIClient, claim: dict[str, Any]
) -> None:
    decline(lena, claim["id"], "skip")
    assert take(luis)["prompt"] == claim["prompt"]
    refused = undo(lena, claim["id"])
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "too_late"
    assert "stays skipped" in refused.json()["error"]["message"]
    assert Claim.objects.get(pk=claim["id"]).state == ClaimState.SKIPPED


def test_a_flag_is_withdrawn_although_others_have_the_task(
    lena: APIClient, luis: APIClient, claim: dict[str, Any]
) -> None:
    decline(lena, claim["id"], "flag")
    theirs = take(luis)
    for _ in range(2):
        answer = undo(lena, claim["id"])
        assert (answer.status_code, answer.json()) == (200, {"claim": None})
    assert verbs() == ["flagged", "withdrew flag"]
    assert not Claim.objects.filter(state=ClaimState.FLAGGED).exists()
    done = luis.post(f"/api/claims/{theirs['id']}/ranking", ranking_body(), format="json")
    assert done.json()["counted"] is True


def test_a_lease_that_ran_out_holds_nothing(
    lena: APIClient, luis: APIClient, claim: dict[str, Any]
) -> None:
    decline(lena, claim["id"], "skip")
    theirs = take(luis)["id"]
    past = timezone.now() - timedelta(hours=1)
    Slot.objects.filter(claim_id=theirs).update(lease_until=past)
    assert undo(lena, claim["id"]).json()["claim"]["id"] == claim["id"]
    assert Claim.objects.get(pk=theirs).state == ClaimState.EXPIRED
    late = luis.post(f"/api/claims/{theirs}/ranking", ranking_body(), format="json")
    assert late.json()["counted"] is False  # kept as an extra, as ever


def test_a_closed_round_takes_nothing_up(
    lena: APIClient, ada: APIClient, claim: dict[str, Any]
) -> None:
    decline(lena, claim["id"], "skip")
    assert ada.post("/api/projects/tone/rounds/1/close").status_code == 200
    refused = undo(lena, claim["id"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "round_closed")


def test_it_is_nobody_elses(
    lena: APIClient, luis: APIClient, ada: APIClient, mallory: APIClient, claim: dict[str, Any]
) -> None:
    decline(lena, claim["id"], "skip")
    for client in (luis, ada, mallory):
        assert undo(client, claim["id"]).status_code == 404
    assert undo(APIClient(), claim["id"]).status_code == 401
    Membership.objects.filter(user__username="lena").update(role=Role.VIEWER)
    assert undo(lena, claim["id"]).status_code == 404
    assert Claim.objects.get().state == ClaimState.SKIPPED


def test_what_was_ranked_under_an_earlier_claim_stays_ranked(
    lena: APIClient, luis: APIClient, claim: dict[str, Any]
) -> None:
    lena.post(f"/api/claims/{claim['id']}/release")
    second = take(lena)
    assert second["prompt"] == claim["prompt"]
    decline(lena, second["id"], "skip")
    late = lena.post(f"/api/claims/{claim['id']}/ranking", ranking_body(), format="json")
    assert late.status_code == 201
    refused = undo(lena, second["id"])
    assert refused.json()["error"]["code"] == "already_ranked"
    assert refused.json()["error"]["ranking"] == Ranking.objects.get().pk


def test_a_skip_of_a_claim_that_was_lost_in_between(lena: APIClient, claim: dict[str, Any]) -> None:
    """The tab knows the first claim only; the skip ended the second one."""
    lena.post(f"/api/claims/{claim['id']}/release")
    second = take(lena)
    decline(lena, claim["id"], "skip")
    assert Claim.objects.get(pk=second["id"]).state == ClaimState.SKIPPED
    assert undo(lena, claim["id"]).json()["claim"]["id"] == second["id"]


@pytest.fixture
def closing() -> Iterator[list[Thread]]:
    threads: list[Thread] = []
    yield threads
    for thread in threads:
        thread.join(timeout=PATIENCE_S)


@pytest.mark.django_db(transaction=True)
def test_two_undos_and_another_labeler_in_one_instant(
    lena: APIClient, luis: APIClient, claim: dict[str, Any], closing: list[Thread]
) -> None:
    """One place, and whoever gets it: nobody holds it twice, nothing breaks off."""
    lena_id = Claim.objects.get().labeler_id
    for _ in range(8):
        decline(lena, claim["id"], "skip")
        start = Barrier(3)
        found: list[Any] = []

        def at_once(work: Any, start: Barrier = start, found: list[Any] = found) -> None:
            start.wait()
            try:
                found.append(work())
            except Exception as problem:
                found.append(problem)
            finally:
                connection.close()

        works = [
            lambda: take_back(claim_id=claim["id"], labeler_id=lena_id),
            lambda: take_back(claim_id=claim["id"], labeler_id=lena_id),
            lambda: take(luis),
        ]
        threads = [Thread(target=at_once, args=(work,)) for work in works]
        closing += threads
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=PATIENCE_S)
        codes = {getattr(each, "error_code", None) for each in found if isinstance(each, Exception)}
        assert codes <= {"too_late"}, found
        holders = Claim.objects.filter(state=ClaimState.LIVE, task__claims=claim["id"])
        assert holders.count() == 1
        assert Slot.objects.get(task__claims=claim["id"]).claim_id == holders.get().pk
        for held in Claim.objects.filter(state=ClaimState.LIVE).exclude(pk=claim["id"]):
            luis.post(f"/api/claims/{held.pk}/release")
        undo(lena, claim["id"])
