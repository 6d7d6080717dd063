"""Promotions and what is served, over HTTP."""

import pytest
from pytest_django.fixtures import Settings

from annotate.models import Project, Role, User
from annotate.services.projects import create_project
from inference.models import Adapter
from tests import cast
from tests.inference.fake_vllm import FakeVllm
from tests.promotion.conftest import Train
from training.models import Promotion, TrainedAdapter
from training.services import promotions

pytestmark = pytest.mark.django_db
ADDRESS = "/api/projects/tone/promotions"
SERVING = "/api/projects/tone/serving"


def perform() -> None:
    promotions.perform(promotion_id=Promotion.objects.earliest("-pk").pk)


def test_one_click_each_way(
    ready: FakeVllm, tone: Project, ada: User, red: TrainedAdapter, blue: TrainedAdapter
) -> None:
    client = cast.signed_in(ada)
    body = {"adapter": 2, "reason": "better", "stale": "mark"}
    asked = client.post(ADDRESS, body, format="json")
    assert asked.status_code == 201, asked.content
    row = asked.json()
    assert (row["number"], row["kind"], row["state"]) == (1, "promote", "queued")
    assert (row["adapter"], row["previous"], row["evaluation"]) == (2, None, None)
    assert (row["reason"], row["stale"], row["created_by"]) == ("better", "mark", "ada")
    assert client.get(SERVING).json()["promotion"]["number"] == 1
    assert client.post(ADDRESS, body, format="json").json() == row
    other = client.post(ADDRESS, {"adapter": 1}, format="json")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "promotion_under_way")
    perform()
    back = client.post(f"{ADDRESS}/roll-back", {}, format="json")
    assert (back.status_code, back.json()["adapter"], back.json()["previous"]) == (201, None, 2)
    perform()
    rows = client.get(ADDRESS).json()["results"]
    assert [(each["number"], each["kind"], each["state"]) for each in rows] == [
        (2, "roll_back", "done"),
        (1, "promote", "done"),
    ]
    assert client.get(f"{ADDRESS}?limit=1").json()["next"]


def test_one_that_no_server_takes_is_marked_and_refused(
    ready: FakeVllm, tone: Project, ada: User, red: TrainedAdapter, settings: Settings
) -> None:
    """Before anything is loaded, and in words that say what to do."""
    settings.INFERENCE_LARGEST_RANK = 16
    red.run.spec = {"lora": {"r": 64}}
    red.run.save()
    client = cast.signed_in(ada)
    for address in ("", "/1"):
        shown = client.get(f"/api/projects/tone/adapters{address}").json()
        row = shown["results"][0] if "results" in shown else shown
        assert row["standing"]["state"] == "too_large"
    refused = client.post(ADDRESS, {"adapter": 1}, format="json")
    assert refused.status_code == 400
    (why,) = refused.json()["error"]["fields"]["adapter"]
    assert "a rank of at most 16, not 64" in why
    assert "INFERENCE_ADAPTER_RANK" in why
    assert not Promotion.objects.exists()
    assert ready.lora_calls == []
    settings.INFERENCE_LARGEST_RANK = 64
    assert client.post(ADDRESS, {"adapter": 1}, format="json").status_code == 201


def test_no_way_back_to_one_that_no_server_takes(
    ready: FakeVllm, tone: Project, ada: User, red: TrainedAdapter, settings: Settings
) -> None:
    client = cast.signed_in(ada)
    for adapter in (1, None):
        client.post(ADDRESS, {"adapter": adapter}, format="json")
        perform()
    settings.INFERENCE_LARGEST_RANK = 16
    red.run.spec = {"lora": {"r": 64}}
    red.run.save()
    refused = client.post(f"{ADDRESS}/roll-back", {}, format="json")
    assert refused.status_code == 409
    assert "at most 16, not 64" in refused.json()["error"]["message"]


def test_what_is_served_is_told_by_the_projects_numbers(
    ready: FakeVllm, tone: Project, ada: User, red: TrainedAdapter, blue: TrainedAdapter
) -> None:
    vera = cast.signed_in(cast.member(tone, "vera", Role.VIEWER))
    before = vera.get(SERVING).json()
    assert (before["alias"], before["current"], before["rolls_back_to"]) == (
        "tone/current",
        None,
        None,
    )
    for adapter in (red, blue):
        promotions.promote(project_id=tone.pk, actor_id=ada.pk, adapter_id=adapter.pk)
        perform()
    found = vera.get(SERVING).json()
    assert (found["current"], found["rolls_back_to"]) == (2, {"adapter": 1})
    assert found["promotion"] is None
    (replica,) = found["replicas"]
    assert (replica["state"], replica["places"], replica["taken"], replica["free"]) == (
        "ready",
        6,
        3,
        3,
    )
    assert "url" not in replica
    assert [(each["kind"], each["role"], each["adapter"]) for each in replica["served"]] == [
        ("base", "base", None),
        ("adapter", "zero", None),
        *sorted(
            [("adapter", "adapter", 1), ("adapter", "adapter", 2)],
            key=lambda row: [red, blue][row[2] - 1].content_hash,
        ),
    ]
    assert {each["selftest"] for each in replica["served"]} == {"passed"}
    stand = {each["adapter"]: each["standing"] for each in replica["served"]}
    assert stand[1] == {"state": "replaced", "replicas": 1}
    assert stand[2] == {"state": "current", "replicas": 1}
    assert stand[None] is None


def test_adapters_of_other_projects_are_not_shown(
    ready: FakeVllm, tone: Project, ada: User, train: Train
) -> None:
    elsewhere = create_project(actor_id=ada.pk, slug="else", name="Else")
    theirs = train(project=elsewhere)
    promotions.promote(project_id=elsewhere.pk, actor_id=ada.pk, adapter_id=theirs.pk)
    perform()
    (replica,) = cast.signed_in(ada).get(SERVING).json()["replicas"]
    assert str(Adapter.objects.get(zero=False)) not in {each["name"] for each in replica["served"]}
    assert replica["taken"] == 2
    refused = cast.signed_in(ada).post(ADDRESS, {"adapter": theirs.number + 1}, format="json")
    assert list(refused.json()["error"]["fields"]) == ["adapter"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "adapter"),
        ({"adapter": 9}, "adapter"),
        ({"adapter": 1, "evaluation": 4}, "evaluation"),
        ({"adapter": 1, "stale": "burn"}, "stale"),
        ({"adapter": 1, "reason": "x" * 2001}, "reason"),
    ],
)
def test_it_refuses_with_the_field_at_fault(
    body: dict[str, object], field: str, tone: Project, ada: User, red: TrainedAdapter
) -> None:
    response = cast.signed_in(ada).post(ADDRESS, body, format="json")
    assert response.status_code == 400
    assert list(response.json()["error"]["fields"]) == [field]
    assert not Promotion.objects.exists()
