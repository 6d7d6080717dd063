"""Rounds as an admin runs them: estimate, create, start, pause, end."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from annotate.models import AuditEvent, Completion, Project, Prompt, Round, Slot, Task
from inference.models import Replica
from tests import cast
from tests.api.scene import ranking_body

ADDRESS = "/api/projects/tone/rounds"


def spec(**changes: Any) -> dict[str, Any]:
    return {"sources": [{"served_model": cast.served_model().pk}], "k": 2, **changes}


def create(ada: APIClient, **changes: Any) -> Any:
    return ada.post(ADDRESS, spec(**changes), format="json")


def act(ada: APIClient, action: str, number: int = 1) -> Any:
    return ada.post(f"{ADDRESS}/{number}/{action}")


@pytest.fixture
def prompts(project: Project) -> list[Prompt]:
    return cast.add_prompts(project, 5)


@pytest.mark.usefixtures("prompts")
class TestCreating:
    def test_a_draft_asks_for_nothing_yet(self, ada: APIClient) -> None:
        made = create(ada, overlap=2)
        assert made.status_code == 201, made.content
        round_ = made.json()
        assert (round_["number"], round_["state"], round_["overlap"]) == (1, "draft", 2)
        assert round_["created_by"] == "ada"
        assert round_["sources"][0]["temperature"] == 0.8
        assert Task.objects.count() == 0
        assert create(ada).json()["number"] == 2
        assert [row["number"] for row in ada.get(ADDRESS).json()["results"]] == [2, 1]

    def test_start_makes_one_task_for_each_prompt(self, ada: APIClient) -> None:
        create(ada)
        started = act(ada, "start").json()
        assert started["state"] == "generating"
        assert started["generation"]["tasks"] == 5
        assert started["generation"]["completions_total"] == 10
        assert started["labeling"]["required"] == 5
        assert sorted(Task.objects.values_list("position", flat=True)) == list(range(5))

    def test_starting_twice_is_starting_once(self, ada: APIClient) -> None:
        create(ada)
        assert act(ada, "start").status_code == 200
        assert act(ada, "start").status_code == 200
        assert Task.objects.count() == 5
        assert AuditEvent.objects.filter(verb="started").count() == 1

    def test_created_and_started_in_one_go(self, ada: APIClient) -> None:
        assert create(ada, start=True).json()["state"] == "generating"

    def test_a_round_begins_with_the_projects_k_and_overlap(self, ada: APIClient) -> None:
        ada.patch("/api/projects/tone", {"k_default": 7, "overlap": 3}, format="json")
        body = {"sources": spec()["sources"]}
        round_ = ada.post(ADDRESS, body, format="json").json()
        assert (round_["k"], round_["overlap"]) == (7, 3)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"k": 1}, "k"),
            ({"k": 10}, "k"),
            ({"overlap": 0}, "overlap"),
            ({"sources": []}, "sources"),
            ({"sources": [{"served_model": 999_999}]}, "sources"),
            ({"sources": [{"served_model": "base"}]}, "sources.0.served_model"),
            ({"prompts": {"tag": "unheard of"}}, "prompts"),
            ({"prompts": {"search": "unheard of"}}, "prompts"),
            ({"prompts": {"sample": 0}}, "prompts.sample"),
            ({"prompts": {"split": "test"}}, "prompts.split"),
        ],
    )
    def test_what_cannot_be(self, ada: APIClient, changes: dict[str, Any], field: str) -> None:
        for start in (False, True):
            response = create(ada, **changes, start=start)
            assert response.status_code == 400, response.content
            assert field in response.json()["error"]["fields"]
        assert not Round.objects.exists()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("temperature", -0.1),
            ("temperature", 2.1),
            ("top_p", 0),
            ("top_p", 1.1),
            ("max_tokens", 0),
            ("max_tokens", 10**9),
            ("weight", 0),
            ("weight", 101),
        ],
    )
    def test_sampling_out_of_bounds(self, ada: APIClient, name: str, value: float) -> None:
        source = {**spec()["sources"][0], name: value}
        response = create(ada, sources=[source])
        assert response.status_code == 400
        assert f"sources.0.{name}" in response.json()["error"]["fields"]

    def test_ten_sources_are_too_many(self, ada: APIClient) -> None:
        assert create(ada, sources=spec()["sources"] * 9).status_code == 201
        assert create(ada, sources=spec()["sources"] * 10).status_code == 400


def test_without_any_prompt(ada: APIClient, project: Project) -> None:
    response = create(ada, start=True)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "no_prompts"


def test_held_out_prompts_are_asked_for_by_name_only(ada: APIClient, project: Project) -> None:
    cast.add_prompts(project, 60, split=None)
    held_out = Prompt.objects.filter(split="held_out").count()
    assert held_out > 0
    assert create(ada, start=True).json()["prompts"] == 60 - held_out
    assert not Task.objects.filter(prompt__split="held_out").exists()
    split = {"prompts": {"split": "held_out"}}
    assert create(ada, **split, start=True).json()["prompts"] == held_out
    assert create(ada, prompts={"split": None}, start=True).json()["prompts"] == 60


def test_a_sample_is_drawn_anew_for_each_round(ada: APIClient, project: Project) -> None:
    cast.add_prompts(project, 40)
    for _ in range(2):
        assert create(ada, prompts={"sample": 10}, start=True).json()["prompts"] == 10
    first, second = (
        set(Task.objects.filter(round__number=number).values_list("prompt", flat=True))
        for number in (1, 2)
    )
    assert len(first) == len(second) == 10
    assert first != second


def test_a_sample_larger_than_what_there_is(ada: APIClient, prompts: list[Prompt]) -> None:
    assert create(ada, prompts={"sample": 10**15}, start=True).json()["prompts"] == 5


def test_prompts_by_tag(ada: APIClient, prompts: list[Prompt]) -> None:
    Prompt.objects.filter(pk=prompts[0].pk).update(tags=["water", "cold"])
    made = create(ada, prompts={"tag": "water"}, start=True)
    assert made.json()["prompts"] == 1
    assert Task.objects.get().prompt_id == prompts[0].pk


# --- estimates ------------------------------------------------------------------------------


def test_an_estimate_multiplies(ada: APIClient, prompts: list[Prompt]) -> None:
    body = spec(k=3, overlap=2, prompts={"sample": 4})
    response = ada.post(f"{ADDRESS}/estimate", body, format="json")
    assert response.status_code == 200, response.content
    found = response.json()
    assert (found["prompts"], found["completions"], found["rankings"]) == (4, 12, 8)
    assert found["tokens"] == 12 * 256
    assert found["generation_seconds"] > 0
    assert found["labeler_hours"] > 0
    assert not Round.objects.exists()


def test_an_estimate_warns(ada: APIClient, project: Project) -> None:
    Replica.objects.all().delete()
    source = {**spec()["sources"][0], "temperature": 0}
    body = spec(overlap=5, sources=[source], prompts={"split": "held_out"})
    warnings = " ".join(ada.post(f"{ADDRESS}/estimate", body, format="json").json()["warnings"])
    for word in ("No prompt", "inference server", "needs 5 people", "held-out", "temperature 0"):
        assert word in warnings


def test_an_estimate_learns_from_what_was_written(
    ada: APIClient, project: Project, round_one: Round
) -> None:
    found = ada.post(f"{ADDRESS}/estimate", spec(k=4), format="json").json()
    assert found["tokens"] == 3 * 4 * 8  # the completions so far had 8 tokens each


# --- the life of a round --------------------------------------------------------------------


def take(client: APIClient) -> Any:
    return client.post("/api/projects/tone/claims", {}, format="json").json()


def test_a_paused_round_gives_no_tasks(ada: APIClient, lena: APIClient, round_one: Round) -> None:
    held = take(lena)["claim"]
    assert act(ada, "pause").json()["paused"] is True
    assert act(ada, "pause").status_code == 200
    empty = take(lena)
    assert empty["claim"] is None
    assert empty["reason"]["code"] == "paused"
    address = f"/api/claims/{held['id']}/ranking"
    assert lena.post(address, ranking_body(), format="json").json()["counted"] is True
    assert act(ada, "resume").json()["paused"] is False
    assert take(lena)["claim"] is not None
    verbs = AuditEvent.objects.filter(verb__in=["paused", "resumed"])
    assert verbs.count() == 2


def test_a_canceled_round_keeps_what_was_said(
    ada: APIClient, lena: APIClient, round_one: Round
) -> None:
    first = take(lena)["claim"]
    lena.post(f"/api/claims/{first['id']}/ranking", ranking_body(), format="json")
    held = take(lena)["claim"]
    canceled = act(ada, "cancel").json()
    assert (canceled["state"], canceled["labeling"]["done"]) == ("canceled", 1)
    assert canceled["closed_at"]
    assert act(ada, "cancel").status_code == 200
    assert take(lena)["reason"]["code"] == "no_round"
    late = lena.post(f"/api/claims/{held['id']}/ranking", ranking_body(), format="json")
    assert late.status_code == 201
    for action in ("start", "pause", "resume", "close", "retry"):
        assert act(ada, action).status_code == 409, action


def test_a_closed_round_stays_closed(ada: APIClient, round_one: Round) -> None:
    assert act(ada, "close").json()["state"] == "closed"
    assert act(ada, "close").status_code == 200
    for action in ("start", "pause", "resume", "cancel", "retry"):
        refused = act(ada, action)
        assert refused.status_code == 409, action
        assert "closed" in refused.json()["error"]["message"]


def test_a_draft_can_be_canceled_but_not_closed(ada: APIClient, prompts: list[Prompt]) -> None:
    create(ada)
    for action in ("pause", "resume", "close", "retry"):
        assert act(ada, action).status_code == 409, action
    assert act(ada, "cancel").json()["state"] == "canceled"


def test_retry_asks_again_for_what_failed(ada: APIClient, prompts: list[Prompt]) -> None:
    create(ada, start=True)
    round_ = Round.objects.get()
    Task.objects.update(state="failed", failure="The prompt is too long.")
    Round.objects.update(state="failed", message="No task got its completions.")
    shown = ada.get(f"{ADDRESS}/1").json()
    assert shown["generation"]["failed"] == 5
    assert {each["reason"] for each in shown["failures"]} == {"The prompt is too long."}
    again = act(ada, "retry").json()
    assert (again["state"], again["message"]) == ("generating", "")
    assert again["generation"]["failed"] == 0
    assert round_.tasks.filter(state="pending").count() == 5


def test_the_monitor_tells_flags_and_people(
    ada: APIClient, lena: APIClient, luis: APIClient, round_one: Round
) -> None:
    first = take(lena)["claim"]
    lena.post(f"/api/claims/{first['id']}/ranking", ranking_body(), format="json")
    second = take(lena)["claim"]
    body = {"kind": "personal_data", "note": "<b>a name</b>"}
    lena.post(f"/api/claims/{second['id']}/flag", body, format="json")
    skipped = take(luis)["claim"]
    luis.post(f"/api/claims/{skipped['id']}/skip", {"reason": "unsure"}, format="json")
    shown = ada.get(f"{ADDRESS}/1").json()
    assert shown["labelers"] == [
        {"username": "lena", "rankings": 1, "median_active_s": 4.2, "skips": 0, "flags": 1},
        {"username": "luis", "rankings": 0, "median_active_s": None, "skips": 1, "flags": 0},
    ]
    (flag,) = shown["flags"]
    assert (flag["kind"], flag["note"], flag["labeler"]) == (
        "personal_data",
        "<b>a name</b>",
        "lena",
    )
    assert shown["labeling"]["done"] == 1


@pytest.mark.parametrize(("action", "number"), [("dance", 1), ("start", 2), ("start", 0)])
def test_an_action_or_round_that_does_not_exist(
    ada: APIClient, prompts: list[Prompt], action: str, number: int
) -> None:
    create(ada)
    assert act(ada, action, number).status_code == 404


def test_rounds_by_pages(ada: APIClient, prompts: list[Prompt]) -> None:
    for _ in range(5):
        create(ada)
    first = ada.get(f"{ADDRESS}?limit=3").json()
    second = ada.get(f"{ADDRESS}?limit=3&cursor={first['next']}").json()
    numbers = [row["number"] for row in first["results"] + second["results"]]
    assert numbers == [5, 4, 3, 2, 1]
    assert second["next"] is None


def test_an_empty_completion_is_shown_and_ranked(
    ada: APIClient, lena: APIClient, project: Project
) -> None:
    cast.add_prompts(project, 1)
    round_ = cast.make_round(project, project.members.get(username="ada"))
    cast.write_completions(round_, texts=["", "one", "", "three"])
    claim = take(lena)["claim"]
    assert sorted(response["text"] for response in claim["responses"]) == ["", "", "one", "three"]
    done = lena.post(f"/api/claims/{claim['id']}/ranking", ranking_body(), format="json")
    assert done.json()["counted"] is True
    assert Completion.objects.filter(text="").count() == 2
    assert Slot.objects.filter(ranking__isnull=False).count() == 1
