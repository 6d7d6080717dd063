"""Whoever may still judge a task sees neither what others said of it nor who wrote what."""

import pytest
from rest_framework.test import APIClient

from annotate.models import Project, Ranking, Round, Slot, User
from annotate.services import rounds
from tests import cast
from tests.api.scene import content, ranking_body

RANKINGS, COMPARISONS = "/api/projects/tone/rankings", "/api/projects/tone/comparisons"


@pytest.fixture
def shared(project: Project, ada_user: User) -> Round:
    """One task for two people."""
    cast.add_prompts(project, 1)
    round_ = cast.make_round(project, ada_user, overlap=2)
    cast.write_completions(round_)
    return round_


def claim(client: APIClient) -> int:
    answer = client.post("/api/projects/tone/claims", {}, format="json").json()
    return int(answer["claim"]["id"])


def rank(client: APIClient, claim_id: int | None = None) -> int:
    address = f"/api/claims/{claim_id or claim(client)}/ranking"
    done = client.post(address, ranking_body(), format="json")
    assert done.status_code == 201, done.content
    return int(done.json()["id"])


def sees(client: APIClient, ranking: int) -> bool:
    """Everything of the ranking or nothing; refusals and gaps give their reason."""
    one = client.get(f"/api/rankings/{ranking}")
    lists = [client.get(address).json() for address in (RANKINGS, COMPARISONS)]
    if one.status_code == 200:
        assert all(response["provenance"] for response in one.json()["responses"])
        assert ranking in [row["id"] for row in lists[0]["results"]]
        assert ranking in [row["ranking"] for row in lists[1]["results"]]
        assert [page["withheld"] for page in lists] == [None, None]
        return True
    assert (one.status_code, one.json()["error"]["code"]) == (403, "still_to_judge")
    assert "You may still rank this task" in one.json()["error"]["message"]
    assert [page["results"] for page in lists] == [[], []]
    for page in lists:
        assert "you may still rank them" in page["withheld"]
    return False


def test_a_reviewer_sees_it_once_they_have_ranked_it(
    rita: APIClient, lena: APIClient, shared: Round
) -> None:
    ranking = rank(lena)
    assert not sees(rita, ranking)
    held = claim(rita)
    assert not sees(rita, ranking)
    rank(rita, held)
    assert sees(rita, ranking)


def test_who_labels_nowhere_sees_everything(
    lena: APIClient, vera: APIClient, shared: Round
) -> None:
    ranking = rank(lena)
    (row,) = vera.get(RANKINGS).json()["results"]
    assert row["id"] == ranking
    assert vera.get(RANKINGS).json()["withheld"] is None


def test_it_is_shown_once_nobody_can_rank_it_any_more(
    rita: APIClient, ada: APIClient, lena: APIClient, luis: APIClient, shared: Round
) -> None:
    ranking = rank(lena)
    assert not sees(ada, ranking)
    rank(luis)  # the last place
    assert sees(ada, ranking)
    assert sees(rita, ranking)


def test_it_is_shown_once_the_round_is_closed(
    rita: APIClient, lena: APIClient, ada_user: User, shared: Round
) -> None:
    ranking = rank(lena)
    claim(rita)
    rounds.close_round(round_id=shared.pk, actor_id=ada_user.pk)
    assert sees(rita, ranking)


def test_a_skip_is_no_way_to_look_first(rita: APIClient, lena: APIClient, shared: Round) -> None:
    """It can be taken back."""
    ranking = rank(lena)
    held = claim(rita)
    rita.post(f"/api/claims/{held}/skip", {"reason": "unsure"}, format="json")
    assert not sees(rita, ranking)
    assert rita.post(f"/api/claims/{held}/undo").status_code == 200


def test_a_task_that_was_lost_and_is_still_open_on_the_page(
    rita: APIClient, lena: APIClient, luis: APIClient, shared: Round
) -> None:
    """What she says of it is kept as an extra."""
    held = claim(rita)
    first = rank(lena)
    Slot.objects.filter(claim_id=held).update(lease_until="2020-01-01T00:00:00Z")
    second = rank(luis)
    assert not Slot.objects.filter(ranking=None).exists()
    for ranking in (first, second):
        assert rita.get(f"/api/rankings/{ranking}").status_code == 403
    rank(rita, held)
    assert sees(rita, first)


def test_ones_own_withdrawn_ranking_is_shown_as_to_a_labeler(
    rita: APIClient, shared: Round
) -> None:
    mine = rank(rita)
    assert rita.post(f"/api/rankings/{mine}/undo").status_code == 200
    shown = rita.get(f"/api/rankings/{mine}").json()
    assert {response["provenance"] for response in shown["responses"]} == {None}


def test_superusers_are_no_exception(lena: APIClient, project: Project, shared: Round) -> None:
    root = cast.person("root")
    User.objects.filter(pk=root.pk).update(is_superuser=True)
    ranking = rank(lena)
    assert not sees(cast.signed_in(User.objects.get(pk=root.pk)), ranking)


def test_exports_are_whole_and_say_who_could_have_looked(
    rita: APIClient, lena: APIClient, shared: Round
) -> None:
    rank(lena)
    whole = content(rita.get("/api/projects/tone/export/rankings.jsonl")).decode()
    assert whole.count("\n") == 1
    assert '"could_look":"no"' in whole
    rank(rita)
    lines = content(rita.get("/api/projects/tone/export/rankings.jsonl")).decode().splitlines()
    assert sorted('"could_look":"yes"' in line for line in lines) == [False, True]


def test_a_revision_says_so_as_well(rita: APIClient, shared: Round) -> None:
    first = rank(rita)
    body = ranking_body(tiers=[["A"], ["B"], ["C"], ["D"]])
    done = rita.post(f"/api/rankings/{first}/revisions", body, format="json")
    assert done.status_code == 201, done.content
    assert set(Ranking.objects.values_list("could_look", flat=True)) == {True}
