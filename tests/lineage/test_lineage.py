"""From an adapter to its labelers, and from a labeler to every adapter that learned from them."""

from typing import Any

import pytest

from annotate.models import Project, Round, User
from annotate.services.rounds import close_round
from tests import cast
from tests.lineage.conftest import BASE, Train, answered_by, promote, serve
from tests.snapshots.conftest import Make, Rank
from training.models import Promotion, PromotionKind, Snapshot, TrainedAdapter
from training.queries import lineage as reads

ADDRESS = "/api/projects/tone/lineage"
Edges = dict[tuple[str, str], int | None]


@pytest.fixture
def adapters(
    tone: Project,
    ada: User,
    lena: User,
    luis: User,
    round_one: Round,
    rank: Rank,
    make: Make,
    train: Train,
) -> list[TrainedAdapter]:
    """1 of Lena and Luis; it wrote round 2, which Luis ranked. 2 of round 2, 3 goes on from 1."""
    for labeler in (lena, luis):
        rank(labeler), rank(labeler)
    first = train(make())
    promote(first, by=ada)
    Round.objects.filter(pk=round_one.pk).update(paused=True)
    answered_by(tone, ada, serve(first))
    rank(luis)
    theirs = make(rounds=(2,))
    second = train(theirs)
    third = train(theirs, parent=first)
    promote(third)
    return [first, second, third]


def graph(user: User, query: str = "") -> tuple[dict[str, dict[str, Any]], Edges]:
    body = cast.signed_in(user).get(f"{ADDRESS}{query}").json()
    nodes = {node["id"]: node for node in body["nodes"]}
    edges = {(edge["from"], edge["to"]): edge["count"] for edge in body["edges"]}
    assert {end for edge in edges for end in edge} <= nodes.keys()
    return nodes, edges


def test_the_whole_way(ada: User, adapters: list[TrainedAdapter]) -> None:
    nodes, edges = graph(ada)
    base = f"base-{BASE}"
    assert edges == {
        (base, "round-1"): 12,
        ("adapter-1", "round-2"): 12,
        ("round-1", "snapshot-1"): 4,
        ("labeler-lena", "snapshot-1"): 2,
        ("labeler-luis", "snapshot-1"): 2,
        ("round-2", "snapshot-2"): 1,
        ("labeler-luis", "snapshot-2"): 1,
        ("snapshot-1", "run-1"): None,
        (base, "run-1"): None,
        ("run-1", "adapter-1"): None,
        ("snapshot-2", "run-2"): None,
        (base, "run-2"): None,
        ("run-2", "adapter-2"): None,
        ("snapshot-2", "run-3"): None,
        ("adapter-1", "run-3"): None,
        ("run-3", "adapter-3"): None,
        ("adapter-1", "promotion-1"): None,
        ("adapter-3", "promotion-2"): None,
    }
    assert nodes["snapshot-1"]["detail"] == "4 rankings by 2 labelers"
    assert nodes["promotion-1"]["detail"] == "promoted by ada, done"
    assert nodes["promotion-2"]["detail"] == "promoted by the loop, done"
    assert (nodes["adapter-1"]["kind"], nodes["adapter-1"]["number"]) == ("adapter", 1)
    assert nodes["adapter-1"]["detail"].startswith(f"{BASE}@")


def test_from_one_node_both_ways(ada: User, adapters: list[TrainedAdapter]) -> None:
    nodes, _ = graph(ada, "?node=adapter-2")
    assert nodes.keys() == {
        "adapter-2",
        "run-2",
        "snapshot-2",
        "round-2",
        "labeler-luis",
        "adapter-1",
        "run-1",
        "snapshot-1",
        "round-1",
        "labeler-lena",
        f"base-{BASE}",
    }
    nodes, _ = graph(ada, "?node=labeler-lena")
    assert {"adapter-1", "adapter-2", "adapter-3", "promotion-2"} < nodes.keys()
    assert "round-1" not in nodes
    assert cast.signed_in(ada).get(f"{ADDRESS}?node=adapter-9").status_code == 404


def test_the_way_back_to_the_base(tone: Project, ada: User, adapters: list[TrainedAdapter]) -> None:
    Promotion.objects.create(
        project=tone,
        number=3,
        kind=PromotionKind.ROLL_BACK,
        previous=adapters[0],
        created_by=ada,
    )
    nodes, edges = graph(ada)
    assert (f"base-{BASE}", "promotion-3") in edges
    assert nodes["promotion-3"]["detail"] == "rolled back by ada, waiting for the swap"


def test_many_labelers_are_one_node(
    ada: User, adapters: list[TrainedAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "LABELERS", 1)
    nodes, edges = graph(ada)
    assert [each["title"] for each in nodes.values() if "labeler" in each["kind"]] == ["2 labelers"]
    (people,) = (key for key in nodes if key.startswith("labelers"))
    assert (edges[people, "snapshot-1"], edges[people, "snapshot-2"]) == (4, 1)


def test_only_the_latest_are_shown(
    ada: User, adapters: list[TrainedAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "LATEST", 1)
    nodes, _ = graph(ada)
    assert nodes.keys() == {
        "run-3",
        "adapter-3",
        "snapshot-2",
        "promotion-2",
        "round-2",
        "labeler-luis",
    }


def test_what_never_changes_is_counted_once(
    tone: Project, ada: User, round_one: Round, adapters: list[TrainedAdapter]
) -> None:
    close_round(round_id=round_one.pk, actor_id=ada.pk)
    before = reads.lineage(tone.pk)
    Snapshot.objects.get(number=1).parts.all().delete()
    assert reads.lineage(tone.pk) == before


def test_an_empty_project(ada: User, tone: Project) -> None:
    assert graph(ada) == ({}, {})


def touched(user: User, query: str) -> dict[str, Any]:
    found: dict[str, Any] = cast.signed_in(user).get(f"{ADDRESS}/touched?{query}").json()
    return found


def test_what_learned_from_a_labeler(ada: User, adapters: list[TrainedAdapter]) -> None:
    found = touched(ada, "labeler=lena")
    assert found["rankings"] == 2
    assert found["snapshots"] == [{"number": 1, "rankings": 2}]
    assert [(run["number"], run["because"]) for run in found["runs"]] == [
        (3, "parent"),
        (1, "snapshot"),
    ]
    third, first = found["adapters"]
    assert (third["number"], third["because"]) == (3, "parent")
    assert (first["number"], first["because"]) == (1, "snapshot")
    stand = [third["standing"]["state"], first["standing"]["state"]]
    assert stand == ["current", "replaced"]
    assert (third["promotions"], first["promotions"]) == ([2], [1])
    assert len(touched(ada, "labeler=luis")["adapters"]) == 3


def test_what_learned_from_a_round(ada: User, adapters: list[TrainedAdapter]) -> None:
    found = touched(ada, "round=2")
    assert [each["number"] for each in found["adapters"]] == [3, 2]
    both = touched(ada, "round=2&labeler=lena")
    assert [each["number"] for each in both["adapters"]] == [3, 2, 1]


def test_a_judge_passes_on_what_it_learned(
    ada: User, lena: User, luis: User, round_one: Round, rank: Rank, make: Make, train: Train
) -> None:
    rank(lena), rank(luis)
    judge = train(make(labelers=(lena.pk,)), "reward")
    train(make(labelers=(luis.pk,)), "rloo", judge=judge)
    found = touched(ada, "labeler=lena")
    assert [each["because"] for each in found["adapters"]] == ["judge", "snapshot"]


def test_it_asks_for_somebody_who_ranked(ada: User, tone: Project, lena: User) -> None:
    client = cast.signed_in(ada)
    assert client.get(f"{ADDRESS}/touched").status_code == 400
    assert client.get(f"{ADDRESS}/touched?labeler=lena").status_code == 404
    assert client.get(f"{ADDRESS}/touched?round=x").status_code == 400
    nothing = {"rankings": 0, "snapshots": [], "runs": [], "adapters": []}
    assert touched(ada, "round=7") == nothing
