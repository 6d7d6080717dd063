"""Reading what was said: lists, pages, filters, and one ranking with all its circumstances."""

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from annotate.models import Project, Round
from tests import cast
from tests.api.scene import ranking_body

RANKINGS, COMPARISONS = "/api/projects/tone/rankings", "/api/projects/tone/comparisons"


def rank(client: APIClient, **changes: Any) -> int:
    claim = client.post("/api/projects/tone/claims", {}, format="json").json()["claim"]
    address = f"/api/claims/{claim['id']}/ranking"
    done = client.post(address, ranking_body(**changes), format="json")
    assert done.status_code == 201, done.content
    return int(done.json()["id"])


def ids(client: APIClient, address: str) -> list[int]:
    response = client.get(address)
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


@pytest.fixture
def said(lena: APIClient, luis: APIClient, round_one: Round, project: Project) -> list[int]:
    """Two rankings of Lena and one of Luis in round 1, one of Luis in round 2."""
    found = [rank(lena), rank(luis), rank(lena)]
    second = cast.make_round(project, project.members.get(username="ada"))
    cast.write_completions(second)
    return [*found, rank(luis)]


def test_newest_first(vera: APIClient, said: list[int]) -> None:
    assert ids(vera, RANKINGS) == said[::-1]
    row = vera.get(RANKINGS).json()["results"][-1]
    assert row["labeler"] == "lena"
    assert row["tiers"] == [["B"], ["A", "D"], ["C"]]
    assert (row["round"], row["revision"], row["counted"]) == (1, 1, True)
    assert (row["current"], row["withdrawn"], row["editable"]) == (True, False, True)
    assert row["prompt_excerpt"].startswith("Question")


def test_pages_meet_without_gap_or_overlap(vera: APIClient, said: list[int]) -> None:
    for address in (RANKINGS, COMPARISONS):
        everything = ids(vera, f"{address}?limit=100")
        answer = vera.get(f"{address}?limit=3").json()
        found = [row["id"] for row in answer["results"]]
        while answer["next"] is not None:
            assert len(answer["results"]) == 3
            answer = vera.get(f"{address}?limit=3&cursor={answer['next']}").json()
            found += [row["id"] for row in answer["results"]]
        assert found == everything
    assert len(everything) == 4 * 6


def test_what_comes_in_between_pages_shifts_nothing(
    vera: APIClient, lena: APIClient, said: list[int]
) -> None:
    first = vera.get(f"{RANKINGS}?limit=2").json()
    new = rank(lena)
    second = ids(vera, f"{RANKINGS}?limit=2&cursor={first['next']}")
    assert second == [said[1], said[0]]
    assert new not in second


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("round=1", [2, 1, 0]),
        ("round=2", [3]),
        ("round=3", []),
        ("labeler=luis", [3, 1]),
        ("labeler=luis&round=1", [1]),
        ("labeler=LUIS", []),
        ("labeler=nobody", []),
        ("round=&labeler=", [3, 2, 1, 0]),
    ],
)
def test_filters(vera: APIClient, said: list[int], query: str, places: list[int]) -> None:
    assert ids(vera, f"{RANKINGS}?{query}") == [said[place] for place in places]
    of = [row["ranking"] for row in vera.get(f"{COMPARISONS}?{query}&limit=100").json()["results"]]
    assert sorted(set(of), reverse=True) == [said[place] for place in places]


@pytest.mark.parametrize("query", ["round=one", "round=-1", "cursor=abc", "limit=many", "cursor=²"])
def test_a_filter_that_is_none(vera: APIClient, said: list[int], query: str) -> None:
    for address in (RANKINGS, COMPARISONS):
        response = vera.get(f"{address}?{query}")
        assert response.status_code == 400
        assert query.partition("=")[0] in response.json()["error"]["fields"]


@pytest.mark.parametrize(("limit", "count"), [("0", 1), ("1", 1), ("100000", 24), ("", 24)])
def test_the_length_of_a_page_is_bounded(
    vera: APIClient, said: list[int], limit: str, count: int
) -> None:
    expected = min(count, 50) if limit else 24
    assert len(ids(vera, f"{COMPARISONS}?limit={limit}")) == expected


def test_a_comparison_says_who_won_and_how(
    vera: APIClient, lena: APIClient, round_one: Round
) -> None:
    rank(lena, strengths=[2, 1], unacceptable=[{"label": "C", "reason": ""}])
    rows = vera.get(COMPARISONS).json()["results"]
    assert len(rows) == 6
    assert sum(row["tie"] for row in rows) == 1
    assert [row["strength"] for row in rows if row["tie"]] == [0]
    assert sorted(row["strength"] for row in rows if not row["tie"]) == [1, 1, 2, 2, 3]
    assert sum(row["rejected_unacceptable"] for row in rows) == 3
    assert not any(row["chosen_unacceptable"] for row in rows)
    assert all(row["chosen_excerpt"] != row["rejected_excerpt"] for row in rows)


def test_search_in_prompts_and_responses(vera: APIClient, said: list[int]) -> None:
    assert len(ids(vera, f"{COMPARISONS}?search=ANSWER+0&limit=100")) == 4 * 3
    assert ids(vera, f"{COMPARISONS}?search=100%25") == []
    assert ids(vera, f"{COMPARISONS}?search=_") == []
    assert ids(vera, f"{COMPARISONS}?search=%27%3B+DROP") == []


def test_only_the_current_revision_makes_comparisons(
    vera: APIClient, lena: APIClient, said: list[int]
) -> None:
    body = ranking_body(tiers=[["A"], ["B"], ["C"], ["D"]])
    revised = lena.post(f"/api/rankings/{said[0]}/revisions", body, format="json").json()["id"]
    rows = {row["id"]: row for row in vera.get(RANKINGS).json()["results"]}
    assert (rows[said[0]]["current"], rows[said[0]]["counted"]) == (False, False)
    assert (rows[revised]["current"], rows[revised]["counted"]) == (True, True)
    assert rows[revised]["revision"] == 2
    of = {row["ranking"] for row in vera.get(f"{COMPARISONS}?limit=100").json()["results"]}
    assert revised in of
    assert said[0] not in of


def test_a_withdrawn_ranking_stays_on_record(
    vera: APIClient, rita: APIClient, lena: APIClient, said: list[int], round_one: Round
) -> None:
    lena.post(f"/api/rankings/{said[0]}/undo")
    row = vera.get(RANKINGS).json()["results"][-1]
    assert (row["withdrawn"], row["current"], row["editable"]) == (True, False, False)
    assert rita.get(f"/api/rankings/{said[0]}").status_code == 403  # its place is free again
    Round.objects.filter(pk=round_one.pk).update(state="closed", closed_at=timezone.now())
    detail = rita.get(f"/api/rankings/{said[0]}").json()
    assert detail["withdrawn_at"]
    assert detail["tiers"] == [["B"], ["A", "D"], ["C"]]


def test_reviewers_see_what_made_each_response(
    rita: APIClient, ada: APIClient, lena: APIClient, said: list[int]
) -> None:
    for reader in (rita, ada):
        detail = reader.get(f"/api/rankings/{said[0]}").json()
        made = detail["responses"][0]["provenance"]
        assert made["served_model"] == "base-model"
        assert (made["temperature"], made["top_p"], made["max_tokens"]) == (0.8, 0.95, 256)
        assert (made["tokens"], made["logprob_sum"], made["finish_reason"]) == (8, -4.0, "stop")
    mine = lena.get(f"/api/rankings/{said[0]}")
    assert all(response["provenance"] is None for response in mine.json()["responses"])
    assert b"base-model" not in mine.content


def test_a_reviewer_who_labels_is_blind_until_the_ranking_is_in(
    rita: APIClient, round_one: Round
) -> None:
    response = rita.post("/api/projects/tone/claims", {}, format="json")
    assert b"base-model" not in response.content
    assert b"temperature" not in response.content


def test_the_detail_is_what_the_labeler_saw_and_said(lena: APIClient, round_one: Round) -> None:
    claim = lena.post("/api/projects/tone/claims", {}, format="json").json()["claim"]
    body = ranking_body(
        unacceptable=[{"label": "C", "reason": "made up"}],
        strengths=[2, None],
        ratings={"helpful": {"B": 5, "A": 2}},
        tags=["wrong"],
        rationale="  <i>B</i> is right.  ",
        demonstration={"text": " Better. ", "from": "B"},
    )
    made = lena.post(f"/api/claims/{claim['id']}/ranking", body, format="json").json()["id"]
    detail = lena.get(f"/api/rankings/{made}").json()
    del body["key"]
    assert {key: detail[key] for key in body} == body
    assert detail["prompt"] == claim["prompt"]
    shown = [{k: r[k] for k in ("label", "text", "cut_off")} for r in detail["responses"]]
    assert shown == claim["responses"]
    assert detail["claim"] == claim["id"]


def test_the_chain_of_revisions_can_be_followed(lena: APIClient, said: list[int]) -> None:
    revised = lena.post(f"/api/rankings/{said[0]}/revisions", ranking_body(), format="json").json()
    old, new = (lena.get(f"/api/rankings/{each}").json() for each in (said[0], revised["id"]))
    assert (old["supersedes"], old["superseded_by"]) == (None, revised["id"])
    assert (new["supersedes"], new["superseded_by"]) == (said[0], None)
    again = lena.post(f"/api/rankings/{said[0]}/revisions", ranking_body(), format="json")
    assert again.status_code == 409
    assert again.json()["error"]["code"] == "outdated"


def test_my_rankings_are_mine(lena: APIClient, luis: APIClient, said: list[int]) -> None:
    assert ids(lena, "/api/rankings/mine") == [said[2], said[0]]
    assert ids(luis, "/api/rankings/mine?project=tone") == [said[3], said[1]]
    assert ids(luis, "/api/rankings/mine?project=other") == []
    assert len(ids(lena, "/api/rankings/mine?limit=1")) == 1
    assert lena.get(f"/api/rankings/{said[1]}").status_code == 404


def test_the_queue_counts_for_each_labeler(
    lena: APIClient, luis: APIClient, vera: APIClient, round_one: Round
) -> None:
    rank(lena)
    (mine,) = lena.get("/api/queues").json()["results"]
    assert (mine["waiting"], mine["ranked_today"], mine["ranked_total"]) == (2, 1, 1)
    assert mine["reason"] is None
    (his,) = luis.get("/api/queues").json()["results"]
    assert (his["waiting"], his["ranked_total"]) == (2, 0)
    (hers,) = vera.get("/api/queues").json()["results"]
    assert (hers["role"], hers["waiting"], hers["reason"]) == ("viewer", 0, None)
    rank(luis)
    rank(luis)
    (mine,) = lena.get("/api/queues").json()["results"]
    assert (mine["waiting"], mine["reason"]["code"]) == (0, "all_done")
