"""An adapter trained again without some labelers or rounds."""

from typing import Any

import pytest

from annotate.errors import Conflict, Invalid
from annotate.models import AuditEvent, Project, Round, User
from tests import cast
from tests.lineage.conftest import Train, finish
from tests.snapshots.conftest import Make, Rank, rows
from training import tasks
from training.models import Rebuild, Snapshot, SnapshotState, TrainedAdapter, TrainingRun
from training.services.rebuilding import continue_rebuild, rebuild_adapter, to_continue
from training.services.snapshots import cancel_snapshot
from training.services.snapshots.building import build_snapshot

ADDRESS = "/api/projects/tone/lineage/rebuild"
QUICK: dict[str, Any] = {
    "optimizer": {"lr": 3e-5},
    "training": {"max_steps": 7, "epochs": None},
    "data": {"max_prompt_tokens": 200},
    "dpo": {"beta": 0.3},
}


@pytest.fixture
def adapter(
    lena: User, luis: User, round_one: Round, rank: Rank, make: Make, train: Train
) -> TrainedAdapter:
    """Of two rankings by Lena and one by Luis."""
    rank(lena), rank(lena), rank(luis)
    return train(make(), values=QUICK)


def again(adapter: TrainedAdapter, actor: User, *without: User, rounds: Any = ()) -> Rebuild:
    return rebuild_adapter(
        project_id=adapter.project_id,
        actor_id=actor.pk,
        adapter_id=adapter.pk,
        labelers=[labeler.pk for labeler in without],
        rounds=rounds,
    )


def built(rebuild: Rebuild) -> Rebuild:
    """As the worker goes on with it."""
    assert to_continue() == []
    build_snapshot(snapshot_id=rebuild.snapshot_id)
    assert to_continue() == [rebuild.pk]
    continue_rebuild(rebuild_id=rebuild.pk)
    return Rebuild.objects.get(pk=rebuild.pk)


def test_the_same_run_on_what_is_left(
    ada: User, lena: User, luis: User, adapter: TrainedAdapter
) -> None:
    rebuild = again(adapter, ada, lena)
    old, new = adapter.run.snapshot, rebuild.snapshot
    assert old.finished_at is not None
    until = old.finished_at.isoformat()
    assert new.spec == {**old.spec, "excluded_labelers": [lena.pk], "until": until}
    assert rebuild.run is None
    continue_rebuild(rebuild_id=rebuild.pk)  # the snapshot is not ready: nothing happens
    assert TrainingRun.objects.count() == 1

    rebuild = built(rebuild)

    run = rebuild.run
    assert run is not None
    assert (run.method, run.preset, run.parent, run.snapshot) == ("dpo", "135m-cpu", None, new)
    assert run.spec == adapter.run.spec
    assert run.created_by == ada
    (row,) = rows(Snapshot.objects.get(pk=new.pk))
    assert row["labeler"] == f"labeler-{luis.pk}"
    continue_rebuild(rebuild_id=rebuild.pk)
    assert TrainingRun.objects.count() == 2
    assert to_continue() == []
    assert AuditEvent.objects.filter(verb="rebuilds", actor=ada).exists()


def test_what_an_adapter_did_not_learn_from(
    ada: User, tone: Project, adapter: TrainedAdapter
) -> None:
    with pytest.raises(Invalid, match="did not learn from any of them"):
        again(adapter, ada)
    with pytest.raises(Invalid, match="did not learn from any of them"):
        again(adapter, ada, rounds=[7])
    assert not Rebuild.objects.exists()


def test_nothing_is_left(ada: User, lena: User, luis: User, adapter: TrainedAdapter) -> None:
    for choice in ({"without": (lena, luis)}, {"rounds": [1]}):
        with pytest.raises(Invalid, match="No ranking is chosen"):
            again(adapter, ada, *choice.get("without", ()), rounds=choice.get("rounds", ()))
    assert not Rebuild.objects.exists()


def test_a_parent_comes_first(
    ada: User, lena: User, luis: User, make: Make, train: Train, adapter: TrainedAdapter
) -> None:
    own = make(labelers=(luis.pk,))
    heir = train(own, values=QUICK, parent=adapter)
    with pytest.raises(Conflict, match="Rebuild adapter 1 first"):
        again(heir, ada, lena)
    run = built(again(adapter, ada, lena)).run
    assert run is not None
    with pytest.raises(Conflict, match="Rebuild adapter 1 first"):
        again(heir, ada, lena)
    clean = finish(run)

    rebuild = again(heir, ada, lena)

    # There is nothing of Lena's in its own snapshot: that one stays.
    assert (rebuild.parent, rebuild.snapshot) == (clean, own)
    continue_rebuild(rebuild_id=rebuild.pk)
    rebuild.refresh_from_db()
    assert rebuild.run is not None
    assert (rebuild.run.parent, rebuild.run.snapshot) == (clean, own)
    assert rebuild.run.spec["parent"]["use"] == "continue"


def test_a_judge_comes_first(
    ada: User, lena: User, luis: User, round_one: Round, rank: Rank, make: Make, train: Train
) -> None:
    rank(lena), rank(luis)
    judge = train(make(), "reward")
    heir = train(make(labelers=(luis.pk,)), "rloo", judge=judge)
    with pytest.raises(Conflict, match="was rewarded by it"):
        again(heir, ada, lena)
    run = built(again(judge, ada, lena)).run
    assert run is not None
    clean = finish(run)
    rebuild = again(heir, ada, lena)
    continue_rebuild(rebuild_id=rebuild.pk)
    rebuild.refresh_from_db()
    assert rebuild.run is not None
    assert rebuild.run.judge == clean
    assert rebuild.run.spec["online"]["rewards"] == [f"adapters/{clean.content_hash}"]


def test_a_snapshot_that_fails_is_said(ada: User, lena: User, adapter: TrainedAdapter) -> None:
    rebuild = again(adapter, ada, lena)
    cancel_snapshot(snapshot_id=rebuild.snapshot_id, actor_id=ada.pk)
    assert to_continue() == [rebuild.pk]
    continue_rebuild(rebuild_id=rebuild.pk)
    rebuild.refresh_from_db()
    assert rebuild.message == "Snapshot 2 was canceled."
    assert (rebuild.run, to_continue()) == (None, [])


def test_a_run_that_cannot_be_is_said(
    ada: User, lena: User, adapter: TrainedAdapter, settings: Any
) -> None:
    rebuild = again(adapter, ada, lena)
    build_snapshot(snapshot_id=rebuild.snapshot_id)
    TrainingRun.objects.filter(pk=adapter.run_id).update(preset="gone")
    continue_rebuild(rebuild_id=rebuild.pk)
    rebuild.refresh_from_db()
    assert "There is no preset “gone”" in rebuild.message
    assert TrainingRun.objects.count() == 1


def test_beat_goes_on_with_what_waits(
    ada: User, lena: User, adapter: TrainedAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuild = again(adapter, ada, lena)
    sent: list[tuple[str, dict[str, int]]] = []
    monkeypatch.setattr(tasks, "enqueue", lambda name, **ids: sent.append((name, ids)))
    tasks.advance_snapshots()
    assert sent == [("training.build_snapshot", {"snapshot_id": rebuild.snapshot_id})]
    tasks.build_snapshot(rebuild.snapshot_id)
    sent.clear()
    tasks.advance_snapshots()
    assert sent == [("training.continue_rebuild", {"rebuild_id": rebuild.pk})]
    tasks.continue_rebuild(rebuild.pk)
    sent.clear()
    tasks.advance_snapshots()
    assert sent == []


def test_over_http(ada: User, lena: User, luis: User, adapter: TrainedAdapter) -> None:
    client = cast.signed_in(ada)
    body = {"adapter": 1, "exclude_labelers": ["lena"]}
    assert cast.signed_in(luis).post(ADDRESS, body, format="json").status_code == 403
    response = client.post(ADDRESS, body, format="json")
    assert response.status_code == 201, response.content
    row = response.json()
    assert (row["adapter"], row["snapshot"], row["run"], row["made"]) == (1, 2, None, None)
    rebuild = built(Rebuild.objects.get())
    assert rebuild.run is not None
    finish(rebuild.run)
    (row,) = client.get(ADDRESS).json()["results"]
    assert (row["run"], row["run_state"], row["made"]) == (2, "finished", 2)
    assert row["snapshot_state"] == SnapshotState.READY
    for wrong, status in (
        ({"adapter": 9, "exclude_labelers": ["lena"]}, 404),
        ({"adapter": 1, "exclude_labelers": ["mallory"]}, 400),
        ({"adapter": 1}, 400),
        ({"adapter": 1, "exclude_rounds": [0]}, 400),
    ):
        assert client.post(ADDRESS, wrong, format="json").status_code == status
