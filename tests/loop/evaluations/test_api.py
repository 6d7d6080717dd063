"""Evaluations and adapters over HTTP: who may, what is shown, what is refused."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from annotate.models import AuditEvent, Project, Prompt, Role, User
from inference.adapters import register_adapter
from inference.models import ServedModel
from tests import cast
from tests.inference.fake_vllm import FakeVllm
from tests.loop.evaluations.conftest import Evaluate, Make
from training import adapter_store
from training.models import (
    Evaluation,
    EvaluationAnswer,
    EvaluationState,
    LoopPolicy,
    Promotion,
    Side,
)
from training.services.evaluations.reporting import finish_evaluation

pytestmark = pytest.mark.django_db
HOME = "/api/projects/tone"


@pytest.fixture
def client(ada: User) -> APIClient:
    return cast.signed_in(ada)


def judged(evaluation: Evaluation, rewards: dict[Side, list[float]]) -> Evaluation:
    """Each side answered as many prompts, and was rewarded so."""
    prompts = evaluation.project.prompts.order_by("content_hash")
    for side, values in rewards.items():
        for prompt, reward in zip(prompts, values, strict=False):
            EvaluationAnswer.objects.create(
                evaluation=evaluation,
                prompt=prompt,
                side=side,
                text=f"{side} <b>{reward}</b>",
                tokens=7,
                finish_reason="stop",
                reward=reward,
            )
    Evaluation.objects.filter(pk=evaluation.pk).update(
        state=EvaluationState.JUDGING, prompts=len(prompts)
    )
    evaluation.refresh_from_db()
    finish_evaluation(evaluation)
    return evaluation


def test_one_that_no_server_takes_is_refused(
    client: APIClient, make: Make, held_out: list[Prompt], settings: Any
) -> None:
    small, large = make(), make()
    large.run.spec = {**large.run.spec, "lora": {"r": 64}}
    large.run.save()
    settings.INFERENCE_LARGEST_RANK = 16
    for body, field in (
        ({"candidate": large.number}, "candidate"),
        ({"candidate": small.number, "incumbent": large.number}, "incumbent"),
    ):
        refused = client.post(f"{HOME}/evaluations", body, format="json")
        assert refused.status_code == 400
        assert "at most 16, not 64" in refused.json()["error"]["fields"][field][0]
    assert not Evaluation.objects.exists()


def test_an_answer_longer_than_the_servers_context_is_refused(
    client: APIClient, make: Make, held_out: list[Prompt], vllm: FakeVllm
) -> None:
    """The fake's context is 2,048 tokens."""
    body: dict[str, Any] = {"candidate": make().number, "settings": {"max_tokens": 2048}}
    refused = client.post(f"{HOME}/evaluations", body, format="json")
    assert "2048 tokens" in refused.json()["error"]["fields"]["settings.max_tokens"][0]
    body["settings"]["max_tokens"] = 2047
    assert client.post(f"{HOME}/evaluations", body, format="json").status_code == 201


WON = {Side.CANDIDATE: [3.0, 2.0, 1.0, 0.0], Side.INCUMBENT: [1.0, 1.0, 1.0, 1.0]}


def test_one_is_created_by_numbers(client: APIClient, make: Make, held_out: list[Prompt]) -> None:
    old, new, judge = make(), make(), make(method="reward")
    body = {
        "candidate": new.number,
        "incumbent": old.number,
        "judge": judge.number,
        "settings": {"prompts": 3, "temperature": 0},
    }
    response = client.post(f"{HOME}/evaluations", body, format="json")
    assert response.status_code == 201, response.content
    made = response.json()
    assert (made["candidate"], made["incumbent"], made["judge"]) == (2, 1, 3)
    assert made["settings"] == {
        "prompts": 3,
        "temperature": 0,
        "top_p": 0.95,
        "max_tokens": 128,
    }
    assert (made["state"], made["report"], made["verdicts"]) == ("queued", None, [])
    assert (made["answered"], made["judged"], made["prompts"]) == (0, 0, 0)


def test_what_is_left_out_is_chosen_and_null_is_nothing(
    client: APIClient, make: Make, held_out: list[Prompt]
) -> None:
    candidate, judge = make(), make(method="reward")
    address = f"{HOME}/evaluations"
    first = client.post(address, {"candidate": candidate.number}, format="json").json()
    assert (first["incumbent"], first["judge"]) == (None, judge.number)
    body = {"candidate": candidate.number, "incumbent": None, "judge": None}
    assert client.post(address, body, format="json").json()["judge"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "candidate"),
        ({"candidate": 99}, "candidate"),
        ({"candidate": 1, "judge": 1}, "judge"),
        ({"candidate": 1, "incumbent": 99}, "incumbent"),
        ({"candidate": 1, "settings": {"prompts": 0}}, "settings"),
    ],
)
def test_a_wrong_choice_names_its_field(
    body: dict[str, Any], field: str, client: APIClient, make: Make, held_out: list[Prompt]
) -> None:
    make()
    response = client.post(f"{HOME}/evaluations", body, format="json")
    assert response.status_code == 400
    assert any(name.startswith(field) for name in response.json()["error"]["fields"])
    assert not Evaluation.objects.exists()


def test_the_report_is_whole_and_the_gate_of_the_policy_speaks(
    client: APIClient, ada: User, tone: Project, make: Make, evaluate: Evaluate
) -> None:
    evaluation = judged(evaluate(judge_id=make(method="reward").pk), WON)
    address = f"{HOME}/evaluations/{evaluation.number}"
    found = client.get(address).json()
    assert found["verdicts"] == []
    assert found["report"]["win_rate"]["value"] == 0.625
    assert found["win_rate"] == found["report"]["win_rate"]
    assert (found["answered"], found["judged"]) == (8, 8)
    gate = {"min_win_rate": 0.6, "max_kl": 0.01}
    LoopPolicy.objects.create(project=tone, settings={"gate": gate}, owner=ada)
    verdicts = client.get(address).json()["verdicts"]
    assert [(one["name"], one["passed"]) for one in verdicts] == [
        ("min_win_rate", True),
        ("max_kl", False),
    ]
    assert verdicts[1]["text"].endswith("It is too high.")


def test_answers_are_paged_with_both_sides(
    client: APIClient, make: Make, evaluate: Evaluate
) -> None:
    evaluation = judged(evaluate(judge_id=make(method="reward").pk), WON)
    address = f"{HOME}/evaluations/{evaluation.number}/answers"
    first = client.get(f"{address}?limit=3").json()
    rest = client.get(f"{address}?limit=3&cursor={first['next']}").json()
    rows = [*first["results"], *rest["results"]]
    assert [row["outcome"] for row in rows] == ["loss", "tie", "win", "win"]
    assert rows[0]["candidate"] == {
        "text": "candidate <b>0.0</b>",
        "tokens": 7,
        "finish_reason": "stop",
        "adapter_hash": "",
        "reward": 0.0,
    }
    assert rows[0]["incumbent"]["reward"] == 1.0
    assert rows[0]["prompt"]["messages"][0]["role"] == "user"
    EvaluationAnswer.objects.filter(side=Side.INCUMBENT).delete()
    assert client.get(address).json()["results"][0]["incumbent"] is None


def test_cancel_and_retry(client: APIClient, evaluate: Evaluate) -> None:
    evaluate()
    address = f"{HOME}/evaluations/1"
    assert client.post(f"{address}/cancel").json()["state"] == "canceled"
    assert client.post(f"{address}/retry").json()["state"] == "queued"
    assert client.post(f"{address}/explode").status_code == 404
    assert client.post(f"{HOME}/evaluations/9/cancel").status_code == 404
    listed = client.get(f"{HOME}/evaluations").json()
    assert [row["number"] for row in listed["results"]] == [1]


READ = ["evaluations", "evaluations/1", "evaluations/1/answers", "adapters", "adapters/1"]
READ += ["adapters/1/card", "adapters/1/files/adapter.json"]
CHANGE = ["evaluations", "evaluations/1/cancel", "evaluations/1/retry"]


@pytest.mark.parametrize(
    ("role", "reads", "changes"),
    [
        (Role.ADMIN, 200, (201, 200)),
        (Role.REVIEWER, 200, (403,)),
        (Role.VIEWER, 200, (403,)),
        (Role.LABELER, 403, (403,)),
        (None, 404, (404,)),
    ],
)
def test_who_may(
    role: Role | None, reads: int, changes: tuple[int, ...], tone: Project, evaluate: Evaluate
) -> None:
    evaluate()
    somebody = cast.member(tone, "somebody", role) if role else cast.person("mallory")
    client = cast.signed_in(somebody)
    for path in READ:
        assert client.get(f"{HOME}/{path}").status_code == reads, path
    for path in CHANGE:
        body = {"candidate": 1} if path == "evaluations" else {}
        response = client.post(f"{HOME}/{path}", body, format="json")
        assert response.status_code in changes, path


# --- adapters -------------------------------------------------------------------------------


def test_the_list_and_what_an_adapter_became(
    client: APIClient, tone: Project, make: Make, evaluate: Evaluate
) -> None:
    first = make()
    second = make(parent=first)
    judged(evaluate(candidate=second, judge_id=make(method="reward").pk), WON)
    Promotion.objects.create(
        project=tone,
        number=1,
        kind="promote",
        adapter=second,
        state="done",
        finished_at=tone.created_at,
    )
    rows = client.get(f"{HOME}/adapters").json()["results"]
    assert [(row["number"], row["standing"]["state"], row["method"]) for row in rows] == [
        (3, "judge", "reward"),
        (2, "current", "dpo"),
        (1, "trained", "dpo"),
    ]
    assert (rows[1]["parent"], rows[1]["run"], rows[1]["accuracy"]["value"]) == (1, 2, 0.7)
    found = client.get(f"{HOME}/adapters/2").json()
    assert found["content_hash"] == second.content_hash
    assert found["bytes"] == second.bytes > 1000
    assert (found["served_as"], found["standing"]["replicas"]) == (None, 0)
    (evaluation,) = found["evaluations"]
    assert (evaluation["number"], evaluation["win_rate"]["wins"]) == (1, 2)
    assert [one["state"] for one in found["promotions"]] == ["done"]
    assert client.get(f"{HOME}/adapters/9").status_code == 404


def test_how_it_is_served_is_shown(client: APIClient, make: Make) -> None:
    adapter = make()
    ServedModel.objects.create(name="base", kind="base")
    register_adapter(content_hash=adapter.content_hash, base="base")
    found = client.get(f"{HOME}/adapters/1").json()
    assert found["served_as"] == f"base@{adapter.content_hash[:16]}"
    assert found["standing"] == {"state": "trained", "replicas": 0}


def test_the_card_tells_the_evaluations(client: APIClient, make: Make, evaluate: Evaluate) -> None:
    judged(evaluate(judge_id=make(method="reward").pk), WON)
    response = client.get(f"{HOME}/adapters/2/card")
    assert response["Content-Type"] == "text/markdown; charset=utf-8"
    text = response.content.decode()
    assert text.startswith("---\nbase_model:")
    assert "against the base itself: win rate 62.5%" in text
    assert "| rankings | 9 | 2 |" in text


def test_files_are_those_of_the_storage_and_no_others(
    client: APIClient, make: Make, tmp_path: Any
) -> None:
    adapter = make()
    folder = adapter_store.local_folder(adapter.content_hash)
    names = client.get(f"{HOME}/adapters/1").json()["files"]
    assert sorted(names) == sorted(path.name for path in folder.iterdir())
    for name in names:
        response = client.get(f"{HOME}/adapters/1/files/{name}")
        assert response.getvalue() == (folder / name).read_bytes()
        assert f"tone-adapter-1-{name}" in response["Content-Disposition"]
    for name in ("../adapter.json", "reward_head.safetensors", "%2Fetc%2Fpasswd"):
        assert client.get(f"{HOME}/adapters/1/files/{name}").status_code == 404
    assert AuditEvent.objects.filter(verb="downloaded").count() == len(names)
    (folder / "adapter_config.json").unlink()
    lost = client.get(f"{HOME}/adapters/1/files/adapter_config.json")
    assert lost.status_code == 409
