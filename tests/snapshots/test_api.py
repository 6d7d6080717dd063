"""Snapshots over HTTP."""

from typing import Any

import pytest

from annotate.models import AuditEvent, Project, Round, User
from tests import cast
from tests.snapshots.conftest import Make, Rank, folder_of, read
from training.models import Snapshot

ADDRESS = "/api/projects/tone/snapshots"


def test_what_is_asked_for_is_what_is_built(
    tone: Project, ada: User, lena: User, luis: User, round_one: Round, rank: Rank
) -> None:
    rank(lena), rank(luis)
    spec = {
        "rounds": [1],
        "labelers": ["lena"],
        "until": "2100-01-01T00:00:00Z",
        "aggregation": "mean_rank",
        "weight": "task",
        "excluded_rounds": [],
        "excluded_labelers": ["luis"],
    }
    response = cast.signed_in(ada).post(ADDRESS, spec, format="json")
    assert response.status_code == 201, response.content
    body = response.json()
    assert (body["number"], body["state"], body["created_by"]) == (1, "queued", "ada")
    assert body["spec"] == {
        **spec,
        "since": None,
        "until": "2100-01-01T00:00:00+00:00",
        "minimum_overlap": 1,
        "flagged": False,
    }
    assert Snapshot.objects.get().spec["labelers"] == [lena.pk]
    assert Snapshot.objects.get().spec["excluded_labelers"] == [luis.pk]
    assert AuditEvent.objects.filter(verb="created", object_type="snapshot", actor=ada).exists()


def test_the_list_is_paged_newest_first(
    ada: User, lena: User, round_one: Round, rank: Rank, make: Make
) -> None:
    rank(lena)
    for _ in range(3):
        make()
    client = cast.signed_in(ada)
    first = client.get(f"{ADDRESS}?limit=2").json()
    assert [row["number"] for row in first["results"]] == [3, 2]
    rest = client.get(f"{ADDRESS}?limit=2&cursor={first['next']}").json()
    assert [row["number"] for row in rest["results"]] == [1]
    assert rest["next"] is None
    assert rest["results"][0]["counts"]["train"]["comparisons"] == 6


def test_files_and_card_are_those_of_the_storage(
    ada: User, lena: User, round_one: Round, rank: Rank, make: Make
) -> None:
    rank(lena)
    snapshot = make()
    client = cast.signed_in(ada)
    detail = client.get(f"{ADDRESS}/1").json()
    names = [file["name"] for file in detail["files"]]
    assert names == ["README.md", "train/rankings.jsonl"]
    for name in [*names, "snapshot.json"]:
        response = client.get(f"{ADDRESS}/1/files/{name}")
        assert response.getvalue() == read(snapshot, name)
        assert response["Content-Disposition"].startswith("attachment")
    card = client.get(f"{ADDRESS}/1/card")
    assert card["Content-Type"] == "text/markdown; charset=utf-8"
    assert card.getvalue() == read(snapshot, "README.md")
    assert detail["methods"]["sft"] is None
    assert detail["methods"]["dpo"]["rankings"] == ["train/rankings.jsonl"]
    assert AuditEvent.objects.filter(verb="downloaded", actor=ada).count() == 3


@pytest.mark.parametrize("name", ["../../prefloop", "train", "train/other.jsonl", "/etc/passwd"])
def test_no_other_file_is_reached(
    name: str, ada: User, lena: User, round_one: Round, rank: Rank, make: Make
) -> None:
    rank(lena)
    make()
    assert cast.signed_in(ada).get(f"{ADDRESS}/1/files/{name}").status_code == 404


def test_a_lost_file_is_said(
    ada: User, lena: User, round_one: Round, rank: Rank, make: Make
) -> None:
    rank(lena)
    (folder_of(make()) / "README.md").unlink()
    response = cast.signed_in(ada).get(f"{ADDRESS}/1/card")
    assert response.status_code == 409
    assert "not in the storage" in response.json()["error"]["message"]


def test_cancel_and_retry(
    tone: Project, ada: User, lena: User, round_one: Round, rank: Rank
) -> None:
    rank(lena)
    client = cast.signed_in(ada)
    client.post(ADDRESS, {}, format="json")
    assert client.get(f"{ADDRESS}/1/card").status_code == 404
    for _ in range(2):
        assert client.post(f"{ADDRESS}/1/cancel").json()["state"] == "canceled"
    assert client.post(f"{ADDRESS}/1/retry").json()["state"] == "queued"
    assert client.post(f"{ADDRESS}/1/explode").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rounds": [7]}, "rounds"),
        ({"rounds": ["one"]}, "rounds.0"),
        ({"labelers": ["mallory"]}, "labelers"),
        ({"excluded_rounds": [7]}, "rounds"),
        ({"excluded_labelers": ["mallory"]}, "excluded_labelers"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until"),
        ({"minimum_overlap": 0}, "minimum_overlap"),
        ({"aggregation": "best"}, "aggregation"),
        ({"weight": "heavy"}, "weight"),
    ],
)
def test_it_refuses_with_the_field_at_fault(
    body: dict[str, Any], field: str, ada: User, lena: User, round_one: Round, rank: Rank
) -> None:
    rank(lena)
    response = cast.signed_in(ada).post(ADDRESS, body, format="json")
    assert response.status_code == 400
    assert field in response.json()["error"]["fields"]
    assert not Snapshot.objects.exists()
