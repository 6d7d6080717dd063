"""What a snapshot holds is what people said, on the side where it belongs."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.files.storage import storages
from django.db import DatabaseError, IntegrityError, connection, transaction

from annotate.errors import Conflict, Invalid
from annotate.models import AuditEvent, Claim, ClaimState, Project, Prompt, Ranking, Round, User
from annotate.services.rankings import undo_ranking
from tests import cast
from tests.snapshots.conftest import Make, Rank, Settings, folder_of, read, rows
from training.models import Snapshot, SnapshotState
from training.queries import snapshots as reads
from training.queries.lengths import expected
from training.runs.left_out import in_words
from training.services import runs
from training.services.snapshots import building, cancel_snapshot, create_snapshot, retry_snapshot
from training.snapshots.spec import Aggregation, SnapshotSpec, Weight


def test_every_ranking_is_a_row_as_it_was_said(
    round_one: Round, lena: User, rank: Rank, make: Make
) -> None:
    said = rank(lena, [1], [0, 3], [2], strengths=[2, 1], unacceptable=[2], demonstration="Better.")

    snapshot = make()

    (row,) = rows(snapshot)
    task = said.task
    assert row["prompt"] == task.prompt.messages
    assert [each["text"] for each in row["completions"]] == [
        f"Answer {number} to {task.prompt.excerpt}" for number in range(4)
    ]
    assert (row["tiers"], row["strengths"]) == ([[1], [0, 3], [2]], [2, 1])
    assert row["unacceptable"] == [False, False, True, False]
    assert (row["weight"], row["split"], row["rankings"]) == (1.0, "train", [said.pk])
    assert row["labeler"] == f"labeler-{lena.pk}"
    (answer,) = rows(snapshot, "train/demonstrations.jsonl")
    assert answer["prompt"] == task.prompt.messages
    assert answer["completion"] == [{"role": "assistant", "content": "Better."}]
    assert [part.ranking_id for part in snapshot.parts.all()] == [said.pk]


def test_it_tells_how_long_its_rounds_asked_and_let_answer(
    round_one: Round, tone: Project, ada: User, lena: User, rank: Rank, make: Make
) -> None:
    """256 tokens, as rounds write by default; a run on the snapshot reads all of them."""
    rank(lena)

    snapshot = make()

    counts = snapshot.manifest["counts"]
    assert counts["longest"] == {"prompt": 5, "answer": 256}
    spec = runs.draft(
        project_id=tone.pk, snapshot_id=snapshot.pk, method="dpo", preset="135m-cpu"
    ).spec
    assert spec["data"]["max_completion_tokens"] > 256
    assert expected(snapshot, spec) == []
    asked = {**spec, "data": {**spec["data"], "max_completion_tokens": 7, "max_prompt_tokens": 5}}
    assert [in_words(one) for one in expected(snapshot, asked)] == [
        "4 of 4 completions (100.0%): completion is longer than 7 tokens"
    ]


def test_identical_answers_are_ties_and_counted(
    tone: Project, ada: User, lena: User, luis: User, rank: Rank, make: Make
) -> None:
    """Rankings are as they were entered, also those from before the desk tied such answers."""
    cast.add_prompts(tone, 1)
    round_ = cast.make_round(tone, ada, overlap=2)
    cast.write_completions(round_, ["Yes.", "No.", "Yes.  ", "Yes."], cut_off={3})
    rank(lena, [0], [1], [2], [3], strengths=[1, 2, 3])
    rank(luis, [3], [2], [0], [1], unacceptable=[1])

    snapshot = make()

    first, second = rows(snapshot)
    assert (first["tiers"], first["strengths"]) == ([[0, 2], [1], [3]], [1, 3])
    assert (second["tiers"], second["unacceptable"]) == (
        [[3], [0, 2], [1]],
        [False, True, False, False],
    )
    counts = snapshot.manifest["counts"]["train"]
    assert (counts["identical"], counts["ties"], counts["comparisons"]) == (2, 2, 10)
    card = (folder_of(snapshot) / "README.md").read_text()
    assert "2 pairs of identical answers left out" in card
    # Both ordered 0, 2 and 1 alike, 3 otherwise: 2 of 5 pairs that are different answers.
    agreement = snapshot.manifest["counts"]["agreement"]
    assert (agreement["alike"], agreement["comparisons"]) == (2, 5)
    shown = reads.row(Snapshot.objects.get(pk=snapshot.pk))["counts"]["train"]["identical"]
    assert shown == 2


@pytest.mark.parametrize(
    ("choice", "tiers", "weights"),
    [
        ({}, [[[0], [1], [2], [3]], [[1], [0], [2, 3]]], [1.0, 1.0]),
        ({"weight": Weight.TASK}, [[[0], [1], [2], [3]], [[1], [0], [2, 3]]], [0.5, 0.5]),
        ({"aggregation": Aggregation.MAJORITY}, [[[0, 1], [2], [3]]], [2.0]),
        (
            {"aggregation": Aggregation.MEAN_RANK, "weight": Weight.TASK},
            [[[0, 1], [2], [3]]],
            [1.0],
        ),
    ],
)
def test_two_labelers_are_joined_as_asked(
    choice: dict[str, Any],
    tiers: list[list[int]],
    weights: list[float],
    round_one: Round,
    lena: User,
    luis: User,
    rank: Rank,
    make: Make,
) -> None:
    said = [rank(lena), rank(luis, [1], [0], [2, 3])]
    assert said[0].task == said[1].task

    snapshot = make(**choice)

    found = rows(snapshot)
    assert [row["tiers"] for row in found] == tiers
    assert [row["weight"] for row in found] == weights
    assert sorted({key for row in found for key in row["rankings"]}) == [one.pk for one in said]
    assert snapshot.manifest is not None
    figures = snapshot.manifest["counts"]["agreement"]
    # Of the six pairs one is tied by Luis, and the best two are the other way round.
    assert figures["alike"] == 4
    assert (figures["comparisons"], figures["rate"], figures["tasks"]) == (5, 0.8, 1)


def test_the_same_inputs_are_the_same_content_and_written_once(
    round_one: Round, lena: User, rank: Rank, make: Make
) -> None:
    rank(lena)
    first = make()
    written = {path: path.stat().st_mtime_ns for path in folder_of(first).rglob("*")}

    second = make()

    assert (first.number, second.number) == (1, 2)
    assert first.content_hash == second.content_hash
    assert {path: path.stat().st_mtime_ns for path in folder_of(second).rglob("*")} == written
    rank(lena)
    assert make().content_hash != first.content_hash
    assert make(weight=Weight.TASK).content_hash != first.content_hash
    assert rows(first) == rows(second)
    assert len(rows(first)) == 1


def test_the_hash_covers_every_file(round_one: Round, lena: User, rank: Rank, make: Make) -> None:
    rank(lena, demonstration="Better.")
    snapshot = make()
    manifest = read(snapshot, "snapshot.json")
    assert hashlib.sha256(manifest).hexdigest() == snapshot.content_hash
    assert orjson.loads(manifest) == snapshot.manifest
    files = orjson.loads(manifest)["files"]
    assert set(files) == {"README.md", "train/rankings.jsonl", "train/demonstrations.jsonl"}
    for name, said in files.items():
        content = read(snapshot, name)
        assert said == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_held_out_prompts_and_their_twins_never_reach_a_training_file(
    tone: Project, ada: User, lena: User, rank: Rank, make: Make
) -> None:
    prompts = cast.add_prompts(tone, 4)
    held, twin, *others = prompts
    Prompt.objects.filter(pk=held.pk).update(
        split="held_out", messages=[{"role": "user", "content": "QUESTION, twice asked!"}]
    )
    Prompt.objects.filter(pk=twin.pk).update(
        messages=[{"role": "user", "content": "question twice   asked"}]
    )
    round_ = cast.make_round(tone, ada)
    cast.write_completions(round_)
    for _ in range(round_.tasks.count()):
        rank(lena)

    snapshot = make()

    trained = [row["prompt_id"] for row in rows(snapshot)]
    assert sorted(trained) == [prompt.pk for prompt in others]
    out = rows(snapshot, "held_out/rankings.jsonl")
    assert {row["prompt_id"] for row in out} >= {twin.pk}
    assert {row["split"] for row in out} == {"held_out"}
    # The twin is barred even where the held-out prompt itself is in no round.
    assert held.pk not in trained


@pytest.mark.parametrize(
    ("choice", "count"),
    [
        ({"rounds": (1,)}, 3),
        ({"rounds": (1, 2)}, 4),
        ({"minimum_overlap": 2}, 2),
        ({"rounds": (2,)}, 1),
    ],
)
def test_filters(
    choice: dict[str, Any],
    count: int,
    round_one: Round,
    tone: Project,
    ada: User,
    lena: User,
    luis: User,
    rank: Rank,
    make: Make,
) -> None:
    rank(lena), rank(lena), rank(luis)
    round_one.refresh_from_db()
    Round.objects.filter(pk=round_one.pk).update(paused=True)
    cast.write_completions(cast.make_round(tone, ada))
    rank(lena)
    assert len(rows(make(**choice))) == count


def test_labelers_and_rounds_may_be_left_out(
    round_one: Round,
    tone: Project,
    ada: User,
    lena: User,
    luis: User,
    rank: Rank,
    make: Make,
) -> None:
    first, second = rank(lena), rank(luis)
    Round.objects.filter(pk=round_one.pk).update(paused=True)
    cast.write_completions(cast.make_round(tone, ada))
    third = rank(lena)

    def chosen(**choice: Any) -> list[int]:
        return sorted(key for row in rows(make(**choice)) for key in row["rankings"])

    assert chosen(excluded_labelers=(lena.pk,)) == [second.pk]
    assert chosen(excluded_rounds=(2,)) == [first.pk, second.pk]
    assert chosen(excluded_rounds=(1,), labelers=(lena.pk,)) == [third.pk]
    card = read(make(excluded_rounds=(2,), excluded_labelers=(luis.pk,)), "README.md").decode()
    assert "- without the rounds: 2\n- without 1 of the labelers\n" in card


def test_a_spec_from_before_anything_could_be_excluded_still_reads() -> None:
    stored = SnapshotSpec(rounds=(2, 1), flagged=True).as_dict()
    assert SnapshotSpec.from_dict(stored).as_dict() == stored
    old = {name: value for name, value in stored.items() if not name.startswith("excluded")}
    assert SnapshotSpec.from_dict(old).as_dict() == stored


@pytest.mark.django_db(transaction=True)  # so that each ranking has its own time
def test_labelers_and_dates(
    round_one: Round, lena: User, luis: User, rank: Rank, make: Make
) -> None:
    first, second = rank(lena), rank(luis)
    (row,) = rows(make(labelers=(luis.pk,)))
    assert row["rankings"] == [second.pk]
    (row,) = rows(make(until=second.created_at))
    assert row["rankings"] == [first.pk]
    (row,) = rows(make(since=second.created_at))
    assert row["rankings"] == [second.pk]


def test_flagged_tasks_stay_out_unless_asked_for(
    round_one: Round, lena: User, luis: User, rank: Rank, make: Make
) -> None:
    flagged, fine = rank(lena), rank(lena)
    held = Claim.objects.get(pk=cast.claim(luis, round_one.project).claim_id)
    assert held.task == flagged.task
    held.state, held.ended_at, held.reason = ClaimState.FLAGGED, held.created_at, "harmful"
    held.save()
    assert [row["rankings"] for row in rows(make())] == [[fine.pk]]
    assert len(rows(make(flagged=True))) == 2


def test_what_was_taken_back_is_left_out_and_shown_of_older_snapshots(
    round_one: Round, lena: User, rank: Rank, make: Make
) -> None:
    first, second = rank(lena), rank(lena)
    snapshot = make()
    undo_ranking(ranking_id=second.pk, labeler_id=lena.pk)
    assert reads.changed_since(snapshot) == 1
    assert [row["rankings"] for row in rows(make())] == [[first.pk]]
    assert len(rows(snapshot)) == 2


def test_the_card_says_what_is_in_it(
    round_one: Round, lena: User, luis: User, rank: Rank, make: Make
) -> None:
    rank(lena), rank(luis)
    card = read(make(aggregation=Aggregation.MAJORITY), "README.md").decode()
    assert "| rankings | 2 | 0 |" in card
    assert "2 labelers." in card
    assert "100.0% of 6 cases" in card
    assert "more labelers preferred it" in card
    assert "`base-model`" in card
    assert "license: other" in card
    assert "lena" not in card


def test_it_refuses_what_chooses_nothing(
    round_one: Round, tone: Project, ada: User, lena: User, rank: Rank
) -> None:
    def refused(**choice: Any) -> str:
        with pytest.raises(Invalid) as error:
            create_snapshot(project_id=tone.pk, actor_id=ada.pk, spec=SnapshotSpec(**choice))
        return error.value.message

    assert refused().startswith("No ranking is chosen")
    said = rank(lena)
    assert "no round 9" in refused(rounds=(1, 9))
    assert "ranked nothing here" in refused(labelers=(ada.pk,))
    assert "before the last" in refused(since=said.created_at, until=said.created_at)
    assert refused(minimum_overlap=2).startswith("No ranking is chosen")
    assert refused(since=said.created_at + timedelta(days=1)).startswith("No ranking is chosen")
    assert not Snapshot.objects.exists()


def test_nothing_to_train_on_is_said(round_one: Round, lena: User, rank: Rank, make: Make) -> None:
    rank(lena)
    Prompt.objects.update(split="held_out")
    snapshot = make()
    assert snapshot.state == SnapshotState.FAILED
    assert snapshot.message.startswith("Nothing is left to train on: all 1 tasks are held out")
    assert snapshot.finished_at is not None


def test_a_job_that_runs_twice_changes_nothing(
    round_one: Round, lena: User, rank: Rank, make: Make
) -> None:
    rank(lena)
    snapshot = make()
    building.build_snapshot(snapshot_id=snapshot.pk)
    again = Snapshot.objects.get(pk=snapshot.pk)
    assert (again.finished_at, again.attempts) == (snapshot.finished_at, 1)
    assert again.parts.count() == 1
    assert AuditEvent.objects.filter(verb="became ready").count() == 1
    assert reads.to_advance() == []


def test_a_killed_job_is_taken_up_and_its_remains_do_not_matter(
    round_one: Round, tone: Project, ada: User, lena: User, rank: Rank, settings: Settings
) -> None:
    rank(lena)
    snapshot = create_snapshot(project_id=tone.pk, actor_id=ada.pk, spec=SnapshotSpec())
    building.build_snapshot(snapshot_id=snapshot.pk)
    snapshot.refresh_from_db()
    # Another one, killed while it drafted and again while it stored, as its files show.
    folder = folder_of(snapshot)
    (folder / "snapshot.json").unlink()
    (folder / "train/rankings.jsonl").write_text("half")
    killed = create_snapshot(project_id=tone.pk, actor_id=ada.pk, spec=SnapshotSpec())
    Snapshot.objects.filter(pk=killed.pk).update(state=SnapshotState.BUILDING, attempts=2)
    draft = Path(settings.SNAPSHOT_DRAFTS) / str(killed.pk) / "train"
    draft.mkdir(parents=True)
    (draft / "rankings.jsonl").write_text("half")
    (draft / "other.jsonl").write_text("half")
    assert reads.to_advance() == [killed.pk]

    building.build_snapshot(snapshot_id=killed.pk)

    killed.refresh_from_db()
    assert (killed.state, killed.content_hash) == (SnapshotState.READY, snapshot.content_hash)
    assert len(rows(killed)) == 1
    assert not draft.exists()


def test_it_is_not_tried_for_ever(
    round_one: Round, tone: Project, ada: User, lena: User, rank: Rank
) -> None:
    rank(lena)
    snapshot = create_snapshot(project_id=tone.pk, actor_id=ada.pk, spec=SnapshotSpec())
    Snapshot.objects.update(attempts=building.ATTEMPTS, state=SnapshotState.BUILDING)
    building.build_snapshot(snapshot_id=snapshot.pk)
    snapshot.refresh_from_db()
    assert snapshot.state == SnapshotState.FAILED
    assert "ended 3 times" in snapshot.message

    retry_snapshot(snapshot_id=snapshot.pk, actor_id=ada.pk)
    building.build_snapshot(snapshot_id=snapshot.pk)

    snapshot.refresh_from_db()
    assert (snapshot.state, snapshot.message) == (SnapshotState.READY, "")
    with pytest.raises(Conflict, match="never changes"):
        retry_snapshot(snapshot_id=snapshot.pk, actor_id=ada.pk)


def test_a_full_disk_is_a_failure_with_a_message(
    round_one: Round, lena: User, rank: Rank, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rank(lena)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(storages["snapshots"], "save", full)
        snapshot = make()
    assert snapshot.state == SnapshotState.FAILED
    assert snapshot.message == "The files cannot be written: No space left on device. Then retry."


@pytest.mark.parametrize("where", ["_write_lines", "_store"])
def test_canceling_stops_the_job_wherever_it_is(
    where: str,
    round_one: Round,
    tone: Project,
    ada: User,
    lena: User,
    rank: Rank,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rank(lena)
    snapshot = create_snapshot(project_id=tone.pk, actor_id=ada.pk, spec=SnapshotSpec())
    real = getattr(building, where)

    def meanwhile(*args: Any) -> None:
        cancel_snapshot(snapshot_id=snapshot.pk, actor_id=ada.pk)
        real(*args)

    monkeypatch.setattr(building, where, meanwhile)
    building.build_snapshot(snapshot_id=snapshot.pk)
    snapshot.refresh_from_db()
    assert snapshot.state == SnapshotState.CANCELED
    assert not snapshot.parts.exists()
    assert snapshot.content_hash == ""


@pytest.mark.django_db(transaction=True)
def test_one_job_a_project(
    round_one: Round, tone: Project, lena: User, rank: Rank, make: Make
) -> None:
    rank(lena)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [building.LOCK_CLASS, tone.pk])
            waiting = make()
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [building.LOCK_CLASS, tone.pk])
        assert (waiting.state, waiting.attempts) == (SnapshotState.QUEUED, 0)
    finally:
        other.close()
    assert reads.to_advance() == [waiting.pk]
    building.build_snapshot(snapshot_id=waiting.pk)
    waiting.refresh_from_db()
    assert waiting.state == SnapshotState.READY


def test_the_database_lets_nothing_of_a_ready_snapshot_change(
    round_one: Round, lena: User, rank: Rank, make: Make
) -> None:
    rank(lena)
    snapshot = make()
    changes: list[dict[str, Any]] = [
        {"content_hash": "0" * 64},
        {"spec": {}},
        {"state": SnapshotState.QUEUED},
    ]
    for change in changes:
        with pytest.raises((DatabaseError, IntegrityError)), transaction.atomic():
            Snapshot.objects.filter(pk=snapshot.pk).update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        Ranking.objects.all().delete()
