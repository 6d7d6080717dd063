"""A labeler loses a task and gets it again: what they say under either claim is what they saw."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from annotate.models import Claim, Completion, Project, Ranking, Role, Slot, User
from tests import cast
from tests.api.scene import ranking_body

ORDER = [["A"], ["B"], ["C"], ["D"], ["E"], ["F"]]
K = 6  # few draws give the same order of six twice


@pytest.fixture
def one_task(project: Project, ada_user: User) -> None:
    cast.add_prompts(project, 1)
    cast.write_completions(cast.make_round(project, ada_user, k=K, overlap=2))


def take(client: APIClient, have: tuple[int, ...] = ()) -> Any:
    response = client.post("/api/projects/tone/claims", {"have": have}, format="json")
    return response.json()["claim"]


def lose(claim: int, to: APIClient) -> Any:
    """The lease runs out and somebody else takes the place."""
    past = timezone.now() - timedelta(hours=1)
    Claim.objects.filter(pk=claim).update(expires_at=past)
    Slot.objects.filter(claim_id=claim).update(lease_until=past)
    taken = take(to)
    assert Claim.objects.get(pk=claim).state == "expired"
    return taken


def give_back(claim: int, lena: APIClient) -> None:
    assert lena.post(f"/api/claims/{claim}/release").status_code == 204


@pytest.mark.parametrize("how", ["lost", "given back"])
@pytest.mark.usefixtures("one_task")
class TestAgain:
    def again(self, lena: APIClient, luis: APIClient, how: str) -> tuple[Any, Any]:
        first = take(lena)
        draft = {"body": {"tiers": [["C"]], "rationale": "C so far"}}
        lena.put(f"/api/claims/{first['id']}/draft", draft, format="json")
        lose(first["id"], luis) if how == "lost" else give_back(first["id"], lena)
        second = take(lena)
        assert second["id"] > first["id"]
        return first, second

    def test_the_letters_stay_with_the_labeler(
        self, lena: APIClient, luis: APIClient, how: str
    ) -> None:
        """The draft that comes back names the responses by them."""
        first, second = self.again(lena, luis, how)
        assert second["responses"] == first["responses"]
        assert second["draft"] == {"tiers": [["C"]], "rationale": "C so far"}

    def test_an_earlier_tab_says_what_it_showed(
        self, lena: APIClient, luis: APIClient, how: str
    ) -> None:
        first, _ = self.again(lena, luis, how)
        body = ranking_body(tiers=[["F"], ["E"], ["D"], ["C"], ["B"], ["A"]])
        done = lena.post(f"/api/claims/{first['id']}/ranking", body, format="json")
        assert (done.status_code, done.json()["counted"]) == (201, True)
        text = dict(Completion.objects.values_list("pk", "text"))
        ranked = [text[completion] for (completion,) in Ranking.objects.get().tiers]
        assert ranked == [response["text"] for response in first["responses"]][::-1]

    def test_the_later_tab_is_told(self, lena: APIClient, luis: APIClient, how: str) -> None:
        first, second = self.again(lena, luis, how)
        for claim, status in ((first, 201), (second, 409)):
            body = ranking_body(tiers=ORDER)
            done = lena.post(f"/api/claims/{claim['id']}/ranking", body, format="json")
            assert done.status_code == status
        assert Ranking.objects.count() == 1


def test_the_order_differs_between_labelers(
    project: Project, ada_user: User, one_task: None
) -> None:
    """Each draws an order of their own; that eight people all draw the same has odds of 1e-20."""
    Slot.objects.all().delete()
    project.rounds.get().tasks.update(required=8)
    task = project.rounds.get().tasks.get()
    Slot.objects.bulk_create(
        Slot(task=task, round=task.round, position=0, number=number) for number in range(8)
    )
    people = [cast.member(project, f"labeler{n}", Role.LABELER) for n in range(8)]
    for person in people:
        cast.claim(person, project)
    assert len({tuple(order) for order in Claim.objects.values_list("order", flat=True)}) > 1


def test_a_lost_task_is_not_offered_while_it_is_on_the_screen(
    lena: APIClient, luis: APIClient, one_task: None
) -> None:
    """The next task is fetched ahead: it must not be the one that the labeler is about to rank."""
    first = take(lena)
    lose(first["id"], luis)
    assert take(lena, have=(first["id"],)) is None
    done = lena.post(
        f"/api/claims/{first['id']}/ranking",
        ranking_body(tiers=ORDER),
        format="json",
    )
    assert done.status_code == 201


def test_a_task_that_was_ranked_late_is_not_offered_again(
    lena: APIClient, luis: APIClient, one_task: None
) -> None:
    first = take(lena)
    lose(first["id"], luis)
    address = f"/api/claims/{first['id']}"
    done = lena.post(f"{address}/ranking", ranking_body(tiers=ORDER), format="json")
    assert done.json()["counted"] is False
    assert take(lena) is None
    assert lena.post(f"{address}/skip", {}, format="json").status_code == 409
    # Taken back, it is there again.
    lena.post(f"/api/rankings/{done.json()['id']}/undo")
    assert take(lena)["responses"] == first["responses"]


@pytest.mark.parametrize("how", ["lost", "given back"])
@pytest.mark.parametrize("verb", ["skip", "flag"])
def test_skipped_in_one_tab_and_ranked_in_an_earlier_one(
    lena: APIClient, luis: APIClient, one_task: None, verb: str, how: str
) -> None:
    first = take(lena)
    lose(first["id"], luis) if how == "lost" else give_back(first["id"], lena)
    second = take(lena)
    body = {"kind": "broken"} if verb == "flag" else {}
    declined = lena.post(f"/api/claims/{second['id']}/{verb}", body, format="json")
    assert declined.status_code == 200
    ranking = ranking_body(tiers=ORDER)
    for status in (201, 200):
        done = lena.post(f"/api/claims/{first['id']}/ranking", ranking, format="json")
        assert done.status_code == status, done.content
    assert take(lena) is None
