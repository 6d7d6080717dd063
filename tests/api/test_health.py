"""The badge that says whether completions can be had, and the admins' page about why not."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from annotate.models import Project, User
from inference.models import Replica, ServedModel, Serving
from tests import cast


@pytest.fixture
def replica(db: None) -> Replica:
    Replica.objects.all().delete()  # what a worker of other tests may have left
    found = Replica.objects.create(
        name="gpu-1", url="http://gpu-1:8000", state="ready", checked_at=timezone.now()
    )
    model = ServedModel.objects.create(name="the-base", kind="base")
    Serving.objects.create(
        replica=found, served_model=model, selftest="passed", tested_at=timezone.now()
    )
    return found


@pytest.fixture
def stella(db: None) -> APIClient:
    """She runs the servers, and is in no project."""
    user = cast.person("stella")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    return cast.signed_in(User.objects.get(pk=user.pk))


def test_all_is_well(replica: Replica, stella: APIClient) -> None:
    health = stella.get("/api/health").json()
    assert health["status"] == "ok"
    assert health["inference"]["state"] == "ready"
    assert health["inference"]["replicas"] == [{"name": "gpu-1", "state": "ready", "message": ""}]


def test_all_others_learn_the_state_and_no_address(
    replica: Replica, lena: APIClient, ada: APIClient
) -> None:
    Replica.objects.update(state="down", message="The inference server gpu-1 cannot be reached.")
    for client in (APIClient(), lena, ada):
        response = client.get("/api/health")
        assert response.status_code == 200
        assert response.json()["inference"] == {
            "state": "down",
            "message": "The inference server cannot be reached.",
        }


@pytest.mark.parametrize("state", ["loading", "failing", "down"])
def test_what_is_not_well_says_so(replica: Replica, lena: APIClient, state: str) -> None:
    Replica.objects.update(state=state, message="This is why.")
    health = lena.get("/api/health").json()
    assert health["status"] == "degraded"
    assert health["inference"]["state"] == state
    assert health["inference"]["message"] == "This is why."


def test_nobody_looks_after_the_servers(replica: Replica, lena: APIClient) -> None:
    Replica.objects.update(checked_at=timezone.now() - timedelta(minutes=5))
    inference = lena.get("/api/health").json()["inference"]
    assert inference["state"] == "failing"
    assert "beat" in inference["message"]


def test_no_server_is_known(db: None) -> None:
    Replica.objects.all().delete()
    health = APIClient().get("/api/health").json()
    assert health["inference"]["state"] == "down"


def test_who_runs_the_servers_sees_what_is_served_and_why_not(
    replica: Replica, project: Project, stella: APIClient, ada: APIClient, lena: APIClient
) -> None:
    Serving.objects.update(selftest="failed", detail="It answers as another one.")
    (shown,) = stella.get("/api/inference").json()["replicas"]
    assert shown["url"] == "http://gpu-1:8000"
    assert shown["served"] == [
        {
            "name": "the-base",
            "kind": "base",
            "selftest": "failed",
            "detail": "It answers as another one.",
        }
    ]
    for client in (ada, lena):
        assert client.get("/api/inference").status_code == 404


def test_models_of_a_project_say_why_they_are_not_available(
    replica: Replica, project: Project, ada: APIClient
) -> None:
    current, model = ada.get("/api/projects/tone/models").json()["results"]
    assert (current["kind"], current["name"]) == ("current", "tone/current")
    assert (current["id"], current["means"]) == (model["id"], "the-base")
    assert (model["name"], model["available"], model["message"]) == ("the-base", True, "")
    Serving.objects.update(selftest="failed", detail="It answers as another one.")
    current, model = ada.get("/api/projects/tone/models").json()["results"]
    assert (model["available"], model["message"]) == (False, "It answers as another one.")
