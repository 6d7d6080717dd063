"""An admin changes how is judged while somebody judges: what was shown to them is what counts."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from annotate.models import Claim, JudgingSettings, Project, Round
from tests.api.scene import content, ranking_body

NEXT = "/api/projects/tone/claims"
HELPFUL = {"key": "helpful", "name": "Helpful", "min": 1, "max": 5}
# All that the project of these tests asks for.
SAID: dict[str, Any] = {
    "tiers": [["B"], ["A", "D"], ["C"]],
    "strengths": [3, 1],
    "ratings": {"helpful": {"B": 5, "C": 2}},
    "tags": ["wrong"],
    "rationale": "",
    "demonstration": {"text": "Better.", "from": "B"},
}
CHANGES: dict[str, dict[str, Any]] = {
    "axis removed": {"axes": []},
    "axis narrowed": {"axes": [{**HELPFUL, "max": 3}]},
    "axis renamed": {"axes": [{**HELPFUL, "key": "useful"}]},
    "tags removed": {"tags": []},
    "no strengths any more": {"strength": False},
    "no ties any more": {"ties_allowed": False},
    "rationale required": {"rationale": "required"},
    "no better answers any more": {"write_better": False},
    "another K": {"k_default": 2},
    "everything": {
        "axes": [],
        "tags": [],
        "strength": False,
        "ties_allowed": False,
        "rationale": "required",
        "write_better": False,
        "k_default": 2,
    },
}


def take(client: APIClient) -> dict[str, Any]:
    found: dict[str, Any] = client.post(NEXT, {}, format="json").json()["claim"]
    return found


def change(ada: APIClient, name: str) -> None:
    response = ada.patch("/api/projects/tone", CHANGES[name], format="json")
    assert response.status_code == 200, response.content


def submit(client: APIClient, claim: dict[str, Any], **changes: Any) -> Any:
    body = ranking_body(**{**SAID, **changes})
    return client.post(f"/api/claims/{claim['id']}/ranking", body, format="json")


def read(client: APIClient, ranking: int) -> dict[str, Any]:
    shown: dict[str, Any] = client.get(f"/api/rankings/{ranking}").json()
    return shown


def expect_all_kept(shown: dict[str, Any]) -> None:
    assert {name: shown[name] for name in SAID} == SAID


@pytest.mark.parametrize("name", CHANGES)
def test_a_submit(lena: APIClient, ada: APIClient, round_one: Round, name: str) -> None:
    claim = take(lena)
    change(ada, name)
    response = submit(lena, claim)
    assert response.status_code == 201, response.content
    shown = read(lena, response.json()["id"])
    expect_all_kept(shown)
    assert shown["judging"] == claim["judging"]
    assert shown["judging"]["axes"] == [HELPFUL]


@pytest.mark.parametrize("name", CHANGES)
def test_a_revision(lena: APIClient, ada: APIClient, round_one: Round, name: str) -> None:
    first = submit(lena, take(lena), tiers=[["A"], ["B", "D"], ["C"]]).json()["id"]
    change(ada, name)
    body = ranking_body(**SAID)
    response = lena.post(f"/api/rankings/{first}/revisions", body, format="json")
    assert response.status_code == 201, response.content
    expect_all_kept(read(lena, response.json()["id"]))


@pytest.mark.parametrize("name", CHANGES)
def test_an_undo_and_the_submit_after_it(
    lena: APIClient, ada: APIClient, round_one: Round, name: str
) -> None:
    claim = take(lena)
    first = submit(lena, claim).json()["id"]
    change(ada, name)
    again = lena.post(f"/api/rankings/{first}/undo").json()["claim"]
    assert again["judging"] == claim["judging"]
    assert {key: again["draft"][key] for key in SAID} == SAID
    response = submit(lena, again)
    assert response.status_code == 201, response.content
    expect_all_kept(read(lena, response.json()["id"]))


def test_the_next_task_is_judged_by_what_holds_by_then(
    lena: APIClient, ada: APIClient, round_one: Round
) -> None:
    held = take(lena)
    change(ada, "everything")
    assert take(lena)["judging"] == held["judging"], "the same claim, handed back"
    fresh = lena.post(NEXT, {"have": [held["id"]]}, format="json").json()["claim"]
    assert fresh["judging"] == ada.get("/api/projects/tone").json()["judging"]
    refused = submit(lena, fresh)
    assert refused.status_code == 400
    told = {"tiers": [["B"], ["A"], ["D"], ["C"]], "rationale": "B is right"}
    body = ranking_body(**told)
    done = lena.post(f"/api/claims/{fresh['id']}/ranking", body, format="json")
    assert done.status_code == 201, done.content


def test_a_lost_tab_says_what_it_was_asked(
    lena: APIClient, ada: APIClient, round_one: Round
) -> None:
    """Given back, claimed anew under other settings, and then sent from the earlier tab."""
    first = take(lena)
    lena.post(f"/api/claims/{first['id']}/release")
    change(ada, "everything")
    second = take(lena)
    assert second["responses"] == first["responses"]
    assert second["judging"] != first["judging"]
    response = submit(lena, first)
    assert response.status_code == 201, response.content
    shown = read(lena, response.json()["id"])
    expect_all_kept(shown)
    assert shown["judging"] == first["judging"]
    body = ranking_body(**SAID)
    revised = lena.post(f"/api/rankings/{shown['id']}/revisions", body, format="json")
    assert revised.status_code == 201, revised.content


def test_the_export_says_all_that_was_said(
    lena: APIClient, ada: APIClient, round_one: Round
) -> None:
    claim = take(lena)
    change(ada, "everything")
    submit(lena, claim)
    rows = content(ada.get("/api/projects/tone/export/rankings.jsonl")).decode()
    assert '"strengths":[3,1]' in rows
    assert "helpful" in rows
    assert "wrong" in rows


@pytest.mark.parametrize(
    "way",
    [
        lambda project: Project.objects.filter(pk=project.pk).update(tags=["new"]),
        lambda project: _saved(project, tags=["new"]),
    ],
)
def test_no_way_of_changing_a_project_forgets_what_was_asked(
    lena: APIClient, project: Project, round_one: Round, way: Callable[[Project], Any]
) -> None:
    held = take(lena)
    way(project)
    assert (
        Claim.objects.get().settings.content["tags"]
        == held["judging"]["tags"]
        == [
            "too long",
            "wrong",
        ]
    )
    fresh = lena.post(NEXT, {"have": [held["id"]]}, format="json").json()["claim"]
    assert fresh["judging"]["tags"] == ["new"]


def test_a_change_of_something_else_is_no_new_version(project: Project, ada: APIClient) -> None:
    before = JudgingSettings.objects.count()
    ada.patch("/api/projects/tone", {"name": "Another name", "overlap": 2}, format="json")
    assert JudgingSettings.objects.count() == before == 1


def _saved(project: Project, **values: Any) -> None:
    for name, value in values.items():
        setattr(project, name, value)
    project.save()
