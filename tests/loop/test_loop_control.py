"""Holding a step, ending it, trying again what failed; two workers at once."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from annotate.errors import Conflict
from annotate.models import Prompt
from tests.loop.turning import POLICY, Turning
from tests.patience import PATIENCE_S
from training.models import (
    Evaluation,
    EvaluationState,
    LoopStep,
    Promotion,
    PromotionState,
    RunState,
    Snapshot,
    SnapshotState,
    Stage,
    StepState,
    TrainingRun,
)
from training.services import loop
from training.services.loop.stages.next_round import NO_PROMPTS


@pytest.fixture
def turning(db: None, tmp_path: Path, settings: Any) -> Turning:
    return Turning(tmp_path, settings)


def to(stage: Stage, turning: Turning) -> LoopStep:
    """A step by hand that has come as far as that."""
    step = turning.begin()
    moves = (turning.built, turning.judged, turning.trained, turning.evaluated)
    for move in moves:
        if step.stage == stage:
            break
        step = move()
    assert step.stage == stage
    return step


def test_a_second_click_gets_the_step_that_is_under_way(turning: Turning) -> None:
    turning.policy()
    assert turning.begin() == turning.begin()
    assert LoopStep.objects.count() == 1


def test_without_a_policy_there_is_no_step(turning: Turning) -> None:
    with pytest.raises(Conflict, match="Save one"):
        turning.begin()


def test_a_step_keeps_the_settings_that_it_began_with(turning: Turning) -> None:
    turning.policy()
    step = turning.begin()
    turning.policy(promotion="ask", next_round=None)
    assert turning.built().settings == step.settings
    assert step.settings["promotion"] == POLICY["promotion"]


def test_a_paused_step_lets_things_end_and_begins_none(turning: Turning) -> None:
    turning.policy()
    step = turning.begin()
    for _ in range(2):
        loop.pause(step_id=step.pk, actor_id=turning.ada.pk)
    step = turning.built()
    assert (step.state, step.stage, step.judge_run) == (StepState.PAUSED, Stage.SNAPSHOT, None)
    assert Snapshot.objects.get().state == SnapshotState.READY

    for _ in range(2):
        loop.resume(step_id=step.pk, actor_id=turning.ada.pk)
    assert turning.advanced().stage == Stage.JUDGE
    assert [text for text in turning.texts() if text.startswith("ada ")] == [
        "ada paused the step.",
        "ada resumed the step.",
    ]


@pytest.mark.parametrize("stage", [Stage.SNAPSHOT, Stage.JUDGE, Stage.TRAIN, Stage.EVALUATE])
def test_cancel_ends_what_runs(stage: Stage, turning: Turning) -> None:
    turning.policy()
    step = to(stage, turning)
    for _ in range(2):
        loop.cancel(step_id=step.pk, actor_id=turning.ada.pk)

    step = turning.advanced()
    assert step.state == StepState.CANCELED
    assert step.finished_at is not None
    running = {
        Stage.SNAPSHOT: step.snapshot,
        Stage.JUDGE: step.judge_run,
        Stage.TRAIN: step.run,
        Stage.EVALUATE: step.evaluation,
    }[stage]
    assert running is not None
    assert running.state == "canceled"
    with pytest.raises(Conflict, match="canceled"):
        loop.resume(step_id=step.pk, actor_id=turning.ada.pk)
    assert turning.begin().number == 2


def test_a_run_that_works_is_asked_to_stop(turning: Turning) -> None:
    turning.policy()
    step = to(Stage.TRAIN, turning)
    assert step.run is not None
    now = timezone.now()
    TrainingRun.objects.filter(pk=step.run.pk).update(
        state=RunState.RUNNING,
        lease="00000000-0000-0000-0000-000000000001",
        heartbeat_at=now,
        started_at=now,
        phase="training",
        step=3,
        steps=40,
    )
    assert turning.advanced().waiting_for == "Run 2: training, step 3 of 40."
    loop.cancel(step_id=step.pk, actor_id=turning.ada.pk)
    assert TrainingRun.objects.get(pk=step.run.pk).stop_requested


def test_a_swap_is_not_torn_apart(turning: Turning) -> None:
    turning.policy()
    step = to(Stage.PROMOTE, turning)
    with pytest.raises(Conflict, match="roll back") as refusal:
        loop.cancel(step_id=step.pk, actor_id=turning.ada.pk)
    assert refusal.value.retry
    assert turning.swapped().state == StepState.DONE


def broken(thing: Any, **values: Any) -> None:
    type(thing).objects.filter(pk=thing.pk).update(
        finished_at=timezone.now(), message="The disk is full.", **values
    )


@pytest.mark.parametrize(
    ("stage", "ended"),
    [
        (Stage.SNAPSHOT, "failed"),
        (Stage.SNAPSHOT, "canceled"),
        (Stage.JUDGE, "failed"),
        (Stage.TRAIN, "canceled"),
        (Stage.EVALUATE, "failed"),
    ],
)
def test_what_fails_is_said_and_can_be_tried_again(
    stage: Stage, ended: str, turning: Turning
) -> None:
    turning.policy()
    step = to(stage, turning)
    things = {
        Stage.SNAPSHOT: step.snapshot,
        Stage.JUDGE: step.judge_run,
        Stage.TRAIN: step.run,
        Stage.EVALUATE: step.evaluation,
    }
    thing = things[stage]
    assert thing is not None
    broken(thing, state=ended)
    step = turning.advanced()
    assert (step.state, step.stage) == (StepState.FAILED, stage)
    assert ("The disk is full." if ended == "failed" else "canceled") in step.message
    assert turning.texts()[-1] == step.message

    for _ in range(2):
        step = loop.retry(step_id=step.pk, actor_id=turning.ada.pk)
    thing.refresh_from_db()
    assert thing.state == "queued"
    step = turning.advanced()
    assert (step.state, step.message) == (StepState.RUNNING, "")
    moves: dict[Stage, Callable[[], LoopStep]] = {
        Stage.SNAPSHOT: turning.built,
        Stage.JUDGE: turning.judged,
        Stage.TRAIN: turning.trained,
        Stage.EVALUATE: turning.evaluated,
    }
    assert moves[stage]().stage != stage


def test_a_promotion_that_fails_is_made_anew_by_a_retry(turning: Turning) -> None:
    turning.policy()
    step = to(Stage.PROMOTE, turning)
    assert step.promotion is not None
    broken(step.promotion, state=PromotionState.FAILED)
    step = turning.advanced()
    assert step.state == StepState.FAILED
    assert step.message == "Promotion 1 failed: The disk is full."
    loop.retry(step_id=step.pk, actor_id=turning.ada.pk)
    step = turning.advanced()
    assert step.promotion is not None
    assert (step.promotion.number, step.state) == (2, StepState.RUNNING)
    assert turning.swapped().state == StepState.DONE


def test_a_retry_finds_what_somebody_mended_by_hand(turning: Turning) -> None:
    turning.policy()
    step = to(Stage.EVALUATE, turning)
    assert step.evaluation is not None
    broken(step.evaluation, state=EvaluationState.FAILED)
    turning.advanced()
    Evaluation.objects.update(state=EvaluationState.QUEUED, finished_at=None, message="")
    loop.retry(step_id=step.pk, actor_id=turning.ada.pk)
    assert turning.evaluated().stage == Stage.PROMOTE


def test_only_the_last_step_is_tried_again(turning: Turning) -> None:
    turning.policy()
    step = to(Stage.JUDGE, turning)
    broken(step.judge_run, state=RunState.FAILED)
    failed = turning.advanced()
    assert turning.begin().number == 2
    with pytest.raises(Conflict, match="later step"):
        loop.retry(step_id=failed.pk, actor_id=turning.ada.pk)


def test_without_rankings_it_says_what_to_do(turning: Turning) -> None:
    turning.policy(snapshot={"minimum_overlap": 5})
    step = turning.begin()
    assert (step.state, step.snapshot) == (StepState.FAILED, None)
    assert step.message.startswith("No ranking is chosen.")


def test_without_fresh_prompts_no_next_round_is_opened(turning: Turning) -> None:
    turning.policy()
    to(Stage.PROMOTE, turning)
    Prompt.objects.filter(tasks=None).delete()
    step = turning.swapped()
    assert (step.state, step.promoted, step.round) == (StepState.DONE, True, None)
    assert step.message.endswith(NO_PROMPTS)


def test_a_fault_of_ours_fails_the_step_instead_of_hanging(
    turning: Turning, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(**_: Any) -> None:
        raise KeyError("counts")

    turning.policy()
    with monkeypatch.context() as patch:
        patch.setattr("training.services.snapshots.create_snapshot", breaks)
        step = turning.begin()
    assert (step.state, step.message) == (
        StepState.FAILED,
        "This is a fault of Prefloop. The worker's log has the detail.",
    )
    loop.retry(step_id=step.pk, actor_id=turning.ada.pk)
    assert turning.advanced().snapshot is not None


def test_settings_that_no_longer_fit_fail_the_step(turning: Turning) -> None:
    turning.policy()
    step = turning.begin()
    LoopStep.objects.update(settings={**step.settings, "speed": 11})
    step = turning.advanced()
    assert step.state == StepState.FAILED
    assert "speed: there is no such field" in step.message


@pytest.mark.django_db(transaction=True)
class TestTwoWorkers:
    @pytest.fixture
    def turning(self, transactional_db: None, tmp_path: Path, settings: Any) -> Turning:
        return Turning(tmp_path, settings)

    def test_one_of_them_leaves_the_step_to_the_other(self, turning: Turning) -> None:
        turning.policy()
        step = loop.begin_step(project_id=turning.project.pk, actor_id=None, cause="It is due.")
        with transaction.atomic():
            LoopStep.objects.select_for_update().get(pk=step.pk)
            _in_a_thread(lambda: loop.advance(step_id=step.pk))
            assert not Snapshot.objects.exists()
        loop.advance(step_id=step.pk)
        assert Snapshot.objects.count() == 1

    def test_they_make_one_snapshot_and_one_step(self, turning: Turning) -> None:
        turning.policy()
        start = threading.Barrier(4)

        def both() -> None:
            start.wait(PATIENCE_S)
            step = loop.begin_step(
                project_id=turning.project.pk, actor_id=turning.ada.pk, cause="A click."
            )
            loop.advance(step_id=step.pk)

        _in_threads([both] * 4)
        assert LoopStep.objects.count() == 1
        assert Snapshot.objects.count() == 1
        assert turning.advanced().snapshot == Snapshot.objects.get()
        assert Promotion.objects.count() == 0


def _in_a_thread(work: Callable[[], None]) -> None:
    _in_threads([work])


def _in_threads(works: list[Callable[[], None]]) -> None:
    """Each with a database connection of its own; what fails there fails here."""
    problems: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert problems == []
