"""A project asks its own adapters and the base, and learns nothing of its neighbours'."""

from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from annotate.models import OwnedAdapter, Project, Round, RoundSource, User
from annotate.services.projects import create_project
from inference.models import Adapter, Replica, ServedModel, Serving
from tests import cast
from tests.promotion.adapters import snapshot_of
from training.models import RunState, TrainedAdapter, TrainingRun

MINE, THEIRS = "a" * 64, "b" * 64


def trained(project: Project, owner: User, content_hash: str) -> TrainedAdapter:
    run = TrainingRun.objects.create(
        project=project,
        number=1,
        method="dpo",
        snapshot=snapshot_of(project, owner),
        spec={},
        state=RunState.FINISHED,
        created_by=owner,
        finished_at=timezone.now(),
    )
    return TrainedAdapter.objects.create(
        project=project, number=1, run=run, base="base", content_hash=content_hash, bytes=1
    )


def served(name: str, *, content_hash: str = "", zero: bool = False) -> ServedModel:
    """On the replica; with a hash, as Prefloop itself loaded it there."""
    kind = ServedModel.Kind.BASE if name == "base" else ServedModel.Kind.ADAPTER
    model = ServedModel.objects.create(
        name=name, kind=kind, parent="" if name == "base" else "base"
    )
    Serving.objects.create(
        replica=Replica.objects.get(),
        served_model=model,
        selftest="passed",
        tested_at=timezone.now(),
    )
    if content_hash:
        Adapter.objects.create(
            content_hash=content_hash, base="base", rank=8, zero=zero, served_model=model
        )
    return model


@pytest.fixture
def models(project: Project, ada_user: User) -> dict[str, ServedModel]:
    """Tone's adapter and that of a neighbour, the base with its zero, and one of the servers'."""
    Replica.objects.all().delete()
    now = timezone.now()
    Replica.objects.create(
        name="10.0.0.7:8000", url="http://10.0.0.7:8000", state="ready", checked_at=now
    )
    oscar = cast.person("oscar")
    other = create_project(actor_id=oscar.pk, slug="other", name="Other")
    trained(project, ada_user, MINE)
    trained(other, oscar, THEIRS)
    return {
        "base": served("base"),
        "mine": served("base@mine", content_hash=MINE),
        "theirs": served("base@theirs", content_hash=THEIRS),
        "zero": served("base+zero@0", content_hash="0" * 64, zero=True),
        "house": served("house-style"),
    }


def names(client: APIClient, slug: str = "tone") -> set[str]:
    return {row["name"] for row in client.get(f"/api/projects/{slug}/models").json()["results"]}


def ask(client: APIClient, model: int, **more: Any) -> Any:
    body = {"sources": [{"served_model": model}], **more}
    return client.post("/api/projects/tone/rounds", body, format="json")


def test_a_project_sees_its_own_the_bases_and_what_the_servers_started_with(
    ada: APIClient, models: dict[str, ServedModel]
) -> None:
    assert names(ada) == {"tone/current", "base", "base@mine", "house-style"}
    oscar = cast.signed_in(User.objects.get(username="oscar"))
    assert names(oscar, "other") == {"other/current", "base", "base@theirs", "house-style"}


def test_a_neighbours_adapter_is_as_unknown_as_one_that_there_is_not(
    ada: APIClient, project: Project, models: dict[str, ServedModel]
) -> None:
    cast.add_prompts(project, 1)
    foreign, unknown = ask(ada, models["theirs"].pk), ask(ada, 10**9)
    assert (foreign.status_code, foreign.json()) == (400, unknown.json())
    assert ask(ada, models["zero"].pk).json() == unknown.json()
    for name in ("base", "mine", "house"):
        assert ask(ada, models[name].pk).status_code == 201, name


def test_a_draft_of_before_is_not_started_with_a_neighbours_adapter(
    ada: APIClient, project: Project, models: dict[str, ServedModel]
) -> None:
    cast.add_prompts(project, 1)
    assert ask(ada, models["base"].pk).status_code == 201
    RoundSource.objects.update(served_model=models["theirs"])
    refused = ada.post("/api/projects/tone/rounds/1/start")
    assert refused.status_code == 400
    assert "sources" in refused.json()["error"]["fields"]
    assert Round.objects.get().state == "draft"


def test_adapters_of_before_belong_to_the_project_whose_run_made_them(
    project: Project, models: dict[str, ServedModel]
) -> None:
    before = set(OwnedAdapter.objects.values_list("project__slug", "content_hash"))
    assert before == {("tone", MINE), ("other", THEIRS)}
    OwnedAdapter.objects.all().delete()
    fill = import_module("training.migrations.0008_adapters_are_owned").FILL
    for _ in range(2):
        with connection.cursor() as cursor:
            cursor.execute(fill)
    assert set(OwnedAdapter.objects.values_list("project__slug", "content_hash")) == before


def test_what_is_served_is_told_without_addresses_and_neighbours(
    ada: APIClient, vera: APIClient, models: dict[str, ServedModel]
) -> None:
    for client in (ada, vera):
        answer = client.get("/api/projects/tone/serving")
        assert "10.0.0.7" not in answer.content.decode()
        (replica,) = answer.json()["replicas"]
        shown = {each["name"]: each["role"] for each in replica["served"]}
        assert shown == {
            "base": "base",
            "base@mine": "adapter",
            "base+zero@0": "zero",
            "house-style": "other",
        }
        assert (replica["name"], replica["state"], replica["taken"]) == ("Server 1", "ready", 4)


def test_who_runs_the_servers_sees_them_all(
    ada: APIClient, ada_user: User, models: dict[str, ServedModel]
) -> None:
    User.objects.filter(pk=ada_user.pk).update(is_staff=True)
    (replica,) = ada.get("/api/projects/tone/serving").json()["replicas"]
    assert replica["name"] == "10.0.0.7:8000"
    assert "base@theirs" in {each["name"] for each in replica["served"]}
