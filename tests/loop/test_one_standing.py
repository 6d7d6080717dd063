"""An adapter is one thing at a time, and every page says the same of it, from run to rollback."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from annotate.models import Role
from inference.models import Adapter, ModelAlias, Replica, Serving
from inference.reconcile import tidy
from tests import cast
from tests.loop.turning import Turning, report
from training.models import TrainedAdapter
from training.services.promotions import roll_back

HOME = "/api/projects/tone"
LOOP = f"{HOME}/loop"


@pytest.fixture
def turning(db: None, tmp_path: Path, settings: Settings) -> Turning:
    found = Turning(tmp_path, settings)
    found.policy(active=False, promotion="ask")
    return found


@pytest.fixture
def ada(turning: Turning) -> APIClient:
    return cast.signed_in(turning.ada)


def results(client: APIClient, page: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"{HOME}/{page}").json()["results"]
    return found


def told(client: APIClient, number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each page's answer says the adapter is."""
    yield "adapter", client.get(f"{HOME}/adapters/{number}").json()["standing"]
    for row in results(client, "adapters"):
        if row["number"] == number:
            yield "adapters", row["standing"]
    step = client.get(LOOP).json()["step"]
    for where, row in [
        ("loop", step),
        ("step", client.get(f"{LOOP}/steps/{step['number']}").json()),
        *(("steps", each) for each in results(client, "loop/steps")),
    ]:
        if row["candidate"] == number:
            yield where, row["candidate_standing"]
    for row in results(client, "runs"):
        if row["adapter"] == number:
            yield "runs", row["adapter_standing"]
            run = client.get(f"{HOME}/runs/{row['number']}").json()
            yield "run", run["adapter_standing"]
    for row in results(client, "promotions"):
        if row["adapter"] == number:
            yield "promotions", row["adapter_standing"]
    for replica in client.get(f"{HOME}/serving").json()["replicas"]:
        for row in replica["served"]:
            if row["adapter"] == number:
                yield "serving", row["standing"]
    for node in client.get(f"{HOME}/lineage").json()["nodes"]:
        if node["id"] == f"adapter-{number}":
            yield "lineage", node["standing"]
    for row in client.get(f"{HOME}/lineage/touched?labeler=lena").json()["adapters"]:
        if row["number"] == number:
            yield "touched", row["standing"]


def standing(client: APIClient, number: int, *, pages: int) -> tuple[str, int]:
    """The one that all pages say."""
    found = list(told(client, number))
    assert len({where for where, _ in found}) >= pages, found
    (one,) = {(each["state"], each["replicas"]) for _, each in found}
    return one


def put_on_replica(turning: Turning, adapter: TrainedAdapter) -> None:
    """As an evaluation leaves it: loaded and tested, and no alias means it any more."""
    served = turning.serve(adapter, "candidate")
    replica, _ = Replica.objects.get_or_create(
        name="one", url="http://one:8000", state="ready", checked_at=timezone.now()
    )
    Serving.objects.create(
        replica=replica, served_model=served, selftest="passed", tested_at=timezone.now()
    )
    ModelAlias.objects.filter(name="tone/candidate").delete()
    tidy()


def to_decision(turning: Turning) -> TrainedAdapter:
    for move in (turning.begin, turning.built, turning.judged, turning.trained):
        move()
    step = turning.evaluated()
    assert step.run is not None
    return step.run.adapter


def test_from_the_run_to_the_way_back(turning: Turning, ada: APIClient) -> None:
    for move in (turning.begin, turning.built, turning.judged):
        move()
    step = turning.trained()
    assert step.run is not None
    candidate = step.run.adapter
    assert standing(ada, 1, pages=5) == ("judge", 0)
    assert standing(ada, 2, pages=8) == ("candidate", 0)

    turning.evaluated()
    put_on_replica(turning, candidate)
    # What the replicas make of their memory is not what the adapter is.
    assert Adapter.objects.get(content_hash=candidate.content_hash).state == "retired"
    assert standing(ada, 2, pages=9) == ("waiting", 1)

    assert ada.post(f"{LOOP}/approve").status_code == 200
    assert standing(ada, 2, pages=10) == ("swapping", 1)
    turning.swapped()
    assert standing(ada, 2, pages=10) == ("current", 1)

    assert step.judge_run is not None
    other = turning.finish(retrained(turning))
    assert standing(ada, 3, pages=4) == ("trained", 0)
    turning.promote_by_hand(other)
    assert standing(ada, 3, pages=5) == ("current", 0)
    assert standing(ada, 2, pages=10) == ("replaced", 1)

    turning.swap(roll_back(project_id=turning.project.pk, actor_id=turning.ada.pk))
    assert standing(ada, 2, pages=10) == ("current", 1)
    assert standing(ada, 3, pages=5) == ("rolled_back", 0)

    Serving.objects.update(present=False)
    assert standing(ada, 2, pages=9) == ("current", 0)


def retrained(turning: Turning) -> Any:
    """Another run on the same snapshot, by hand."""
    run = turning.last.run
    assert run is not None
    run.pk, run.number = None, 10
    run.state, run.finished_at, run.started_at = "queued", None, None
    run.save()
    return run


def test_rejected_and_not_passed(turning: Turning, ada: APIClient) -> None:
    to_decision(turning)
    assert ada.post(f"{LOOP}/reject").status_code == 200
    assert standing(ada, 2, pages=8) == ("rejected", 0)


def test_a_candidate_that_misses_the_gate(turning: Turning, ada: APIClient) -> None:
    for move in (turning.begin, turning.built, turning.judged, turning.trained):
        move()
    turning.evaluated(report(win_rate=0.1))
    assert standing(ada, 2, pages=8) == ("rejected", 0)


# --- decisions ------------------------------------------------------------------------------


def test_what_waits_for_an_admin_is_told_outside_of_the_loop(
    turning: Turning, ada: APIClient
) -> None:
    rita = cast.signed_in(cast.member(turning.project, "rita", Role.REVIEWER))
    mallory = cast.signed_in(cast.person("mallory"))
    assert ada.get("/api/decisions").json() == {"results": []}
    to_decision(turning)
    assert ada.get("/api/decisions").json()["results"] == [
        {"project": {"slug": "tone", "name": "Tone"}, "step": 1, "adapter": 2}
    ]
    for other in (rita, mallory, cast.signed_in(turning.lena)):
        assert other.get("/api/decisions").json() == {"results": []}
    ada.post(f"{LOOP}/pause")
    assert ada.get("/api/decisions").json() == {"results": []}
    ada.post(f"{LOOP}/resume")
    ada.post(f"{LOOP}/approve")
    assert ada.get("/api/decisions").json() == {"results": []}


def test_every_warning_is_told_where_it_is_decided(turning: Turning, ada: APIClient) -> None:
    for move in (turning.begin, turning.built, turning.judged, turning.trained):
        move()
    run = turning.last.run
    assert run is not None
    run.warnings = ["The learning rate fell to nothing."]
    run.save()
    rate = {"value": 0.6, "low": 0.12, "high": 0.77, "wins": 2, "ties": 0, "losses": 3}
    found = {**report(), "win_rate": {**rate, "prompts": 5, "method": "wilson"}, "left_out": 2}
    turning.evaluated(found)
    shown = ada.get(f"{LOOP}/steps/1").json()
    assert shown["asks"]
    assert [text.partition(":")[0] for text in shown["warnings"]] == [
        "The win rate's interval (12% to 77%) holds 50%",
        "2 prompts could not be answered by both sides and did not count.",
        "The project has few held-out prompts.",
        "From its training",
    ]
    evaluation = ada.get(f"{HOME}/evaluations/1").json()
    assert evaluation["warnings"] == shown["warnings"]
    # Nowhere is the gate said to be passed without them.
    assert shown["waiting_for"] == "An admin approves or rejects adapter 2, with 4 warnings."
    assert "The gate is passed, with 4 warnings." in turning.texts()
    assert "The gate is passed." not in turning.texts()
    ada.post(f"{LOOP}/approve")
    (promotion,) = results(ada, "promotions")
    assert promotion["reason"].endswith("the gate was passed, with 4 warnings.")
