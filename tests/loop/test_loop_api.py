"""The loop over HTTP: who may, what is said, what is refused."""

from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from annotate.models import Role
from annotate.services.projects import create_project
from tests import cast
from tests.loop.turning import POLICY, Turning
from training.models import LoopPolicy, LoopStep
from training.runs import memory

LOOP = "/api/projects/tone/loop"


@pytest.fixture
def turning(db: None, tmp_path: Path, settings: Any) -> Turning:
    return Turning(tmp_path, settings)


@pytest.fixture
def ada(turning: Turning) -> APIClient:
    return cast.signed_in(turning.ada)


def test_before_a_policy_is_saved_the_defaults_are_shown(ada: APIClient) -> None:
    shown = ada.get(LOOP).json()
    assert (shown["active"], shown["owner"], shown["step"]) == (False, None, None)
    assert shown["settings"]["promotion"] == "ask"
    assert shown["next"] == {
        "comparisons": 18,
        "needed": 500,
        "due_at": None,
        "text": "There is no policy yet. Save one to begin.",
    }
    assert not LoopPolicy.objects.exists()
    refused = ada.post(f"{LOOP}/step")
    assert refused.status_code == 409
    assert "Save one" in refused.json()["error"]["message"]


def test_what_is_saved_is_shown(ada: APIClient) -> None:
    body = {"settings": {**POLICY, "trigger": {"comparisons": 30}}, "active": True}
    saved = ada.put(LOOP, body, format="json")
    assert saved.status_code == 200, saved.content
    shown = ada.get(LOOP).json()
    assert shown == {**saved.json(), "changed_at": shown["changed_at"]}
    assert (shown["active"], shown["owner"], shown["problem"]) == (True, "ada", "")
    assert shown["settings"]["next_round"]["sample"] == 2
    assert shown["settings"]["judge"]["train"] is True
    assert shown["next"]["text"] == "12 more comparisons until the next turn."


def test_what_could_never_be_promoted_is_refused(ada: APIClient, settings: Any) -> None:
    settings.INFERENCE_LARGEST_RANK = 16
    run = {**POLICY.get("run", {}), "values": {"lora": {"r": 64}}}
    refused = ada.put(LOOP, {"settings": {**POLICY, "run": run}}, format="json")
    assert refused.status_code == 400
    (why,) = refused.json()["error"]["fields"]["settings.run.values.lora.r"]
    assert "at most 16, not 64" in why
    judge = {"preset": "135m-cpu", "values": {"lora": {"r": 64}}}
    saved = ada.put(LOOP, {"settings": {**POLICY, "judge": judge}}, format="json")
    assert saved.status_code == 200, "a judge is not served"


def test_layers_that_the_base_lacks_are_refused(
    ada: APIClient, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRAINING_MODEL = str(tmp_path)  # a base of the test's own
    found = {"rows": [], "training": 1, "inference": 1, "layers": ["q_proj", "v_proj"]}
    monkeypatch.setattr(memory, "_asked", lambda _: found)
    run = {**POLICY.get("run", {}), "values": {"lora": {"targets": ["q_prj"]}}}
    refused = ada.put(LOOP, {"settings": {**POLICY, "run": run}}, format="json")
    assert list(refused.json()["error"]["fields"]) == ["settings.run.values.lora.targets"]


def test_a_policy_made_from_an_older_one_is_refused(ada: APIClient) -> None:
    unsaved = ada.get(LOOP).json()["version"]
    body = {"settings": POLICY, "active": False, "base": unsaved}
    saved = ada.put(LOOP, body, format="json").json()

    late = ada.put(LOOP, {**body, "active": True}, format="json")

    assert late.status_code == 409, late.content
    assert late.json()["error"]["code"] == "outdated"
    assert not ada.get(LOOP).json()["active"]
    again = {**body, "active": True, "base": saved["version"]}
    assert ada.put(LOOP, again, format="json").json()["active"] is True


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"settings": {"gate": {"max_kl": -1}}}, "settings.gate.max_kl"),
        ({"settings": {"trigger": {"minutes": 5}}}, "settings.trigger.minutes"),
        (
            {"settings": {"run": {"values": {"optimizer": {"lr": -1}}}}},
            "settings.run.values.optimizer.lr",
        ),
        ({"settings": {"promotion": "automatic", "gate": {}}}, "settings"),
        ({"settings": [1]}, "settings"),
        ({"active": True}, "settings"),
        ({"settings": {}, "active": "yes"}, "active"),
        ([], "settings"),
    ],
)
def test_a_policy_is_refused_with_the_field_at_fault(body: Any, field: str, ada: APIClient) -> None:
    response = ada.put(LOOP, body, format="json")
    assert response.status_code == 400
    error = response.json()["error"]
    assert list(error["fields"]) == [field]
    assert error["message"]
    assert not LoopPolicy.objects.exists()


def test_a_step_by_hand_and_its_page(ada: APIClient, turning: Turning) -> None:
    turning.policy(promotion="ask", active=False)
    begun = ada.post(f"{LOOP}/step").json()
    assert (begun["number"], begun["cause"]) == (1, "ada asked for it.")
    assert ada.post(f"{LOOP}/step").json()["number"] == 1
    assert ada.get(LOOP).json()["next"]["text"] == "Step 1 is under way."
    for move in (turning.advanced, turning.built, turning.judged, turning.trained):
        move()
    turning.evaluated()

    shown = ada.get(f"{LOOP}/steps/1").json()
    assert (shown["stage"], shown["asks"]) == ("promote", True)
    numbers = ("snapshot", "judge_run", "judge", "run", "candidate", "evaluation")
    assert [shown[name] for name in numbers] == [1, 1, 1, 2, 2, 1]
    assert (shown["incumbent"], shown["promotion"], shown["round"]) == (None, None, None)
    assert [verdict["name"] for verdict in shown["verdicts"]] == [
        "min_win_rate",
        "max_length_ratio",
    ]
    assert shown["settings"]["promotion"] == "ask"
    assert shown["events"][0] == {
        "position": 0,
        "stage": "snapshot",
        "text": "Began: ada asked for it.",
        "at": shown["events"][0]["at"],
    }
    assert shown["stages"][-1]["text"] == "An admin approves or rejects adapter 2, with 1 warning."
    assert shown["stages"][-1]["ended_at"] is None

    assert ada.post(f"{LOOP}/approve").json()["promotion"] == 1
    turning.swapped()
    ended = ada.get(LOOP).json()["step"]
    assert (ended["state"], ended["promoted"], ended["round"]) == ("done", True, 2)


def test_the_steps_are_paged_newest_first(ada: APIClient, turning: Turning) -> None:
    turning.policy()
    for _ in range(3):
        ada.post(f"{LOOP}/step")
        ada.post(f"{LOOP}/cancel")
    first = ada.get(f"{LOOP}/steps?limit=2").json()
    assert [row["number"] for row in first["results"]] == [3, 2]
    rest = ada.get(f"{LOOP}/steps?limit=2&cursor={first['next']}").json()
    assert [row["number"] for row in rest["results"]] == [1]
    assert rest["next"] is None


def test_each_verb(ada: APIClient, turning: Turning) -> None:
    turning.policy()
    assert ada.post(f"{LOOP}/pause").status_code == 409
    ada.post(f"{LOOP}/step")
    assert ada.post(f"{LOOP}/pause").json()["state"] == "paused"
    assert ada.post(f"{LOOP}/resume").json()["state"] == "running"
    assert ada.post(f"{LOOP}/approve").status_code == 409
    assert ada.post(f"{LOOP}/cancel").json()["state"] == "canceled"
    assert ada.post(f"{LOOP}/retry").status_code == 409
    assert ada.post(f"{LOOP}/explode").status_code == 404
    assert ada.get(f"{LOOP}/steps/9").status_code == 404


@pytest.mark.parametrize(
    ("role", "reads", "changes"),
    [
        (Role.ADMIN, 200, 200),
        (Role.REVIEWER, 200, 403),
        (Role.VIEWER, 200, 403),
        (Role.LABELER, 403, 403),
        (None, 404, 404),
    ],
)
def test_only_admins_change_anything(
    role: Role | None, reads: int, changes: int, turning: Turning
) -> None:
    turning.policy()
    turning.begin()
    someone = cast.member(turning.project, "sam", role) if role else cast.person("mallory")
    client = cast.signed_in(someone)
    for address in (LOOP, f"{LOOP}/steps", f"{LOOP}/steps/1"):
        assert client.get(address).status_code == reads
    body = {"settings": {}, "active": False}
    assert client.put(LOOP, body, format="json").status_code == changes
    assert client.post(f"{LOOP}/pause").status_code == changes
    assert LoopStep.objects.get().state == ("paused" if changes == 200 else "running")


def test_another_project_s_step_is_not_found(ada: APIClient, turning: Turning) -> None:
    turning.policy()
    turning.begin()
    create_project(actor_id=turning.ada.pk, slug="other", name="Other")
    assert ada.get("/api/projects/other/loop/steps/1").status_code == 404
    assert ada.post("/api/projects/other/loop/cancel").status_code == 409
    assert LoopStep.objects.get().state == "running"


def test_a_policy_of_an_older_version_is_said_and_can_be_saved_again(
    ada: APIClient, turning: Turning
) -> None:
    turning.policy()
    LoopPolicy.objects.update(settings={"speed": 11})
    shown = ada.get(LOOP).json()
    assert "speed" in shown["problem"]
    assert ada.post(f"{LOOP}/step").status_code == 409
    body = {"settings": shown["settings"], "active": True}
    assert ada.put(LOOP, body, format="json").json()["problem"] == ""
