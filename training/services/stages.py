"""What each stage of a step does when it is looked at: those that make a candidate.

Each looks for what it made, makes it where it is missing, and says whether to wait, to go on or to
fail. The caller holds the step's row in a transaction: a thing and the step's key to it are stored
together or not at all, so a stage that is interrupted anywhere makes nothing twice.
"""

from training.evaluation.doubts import doubts
from training.loop.outcomes import Failed, GoOn, Outcome, Wait
from training.loop.policy import NEEDS_JUDGE, Values
from training.loop.words import counted, spent
from training.models import (
    Evaluation,
    EvaluationState,
    RunState,
    Snapshot,
    SnapshotState,
    Stage,
    TrainedAdapter,
    TrainingRun,
)
from training.services import evaluations, runs, snapshots
from training.services.deciding import promoted_by_hand
from training.services.timeline import note
from training.services.turn import Turn, named, took
from training.snapshots.spec import SnapshotSpec


def snapshot(turn: Turn) -> Outcome:
    snapshot = turn.step.snapshot
    if snapshot is None:
        choice = turn.settings.snapshot
        snapshot = snapshots.create_snapshot(
            project_id=turn.step.project_id,
            actor_id=turn.actor_id,
            spec=SnapshotSpec(
                minimum_overlap=choice.minimum_overlap,
                flagged=choice.flagged,
                aggregation=choice.aggregation,
                weight=choice.weight,
            ),
        )
        turn.made(f"Snapshot {snapshot.number} is to be built.", snapshot=snapshot)
    name = f"Snapshot {snapshot.number}"
    if snapshot.state == SnapshotState.READY:
        return GoOn(Stage.JUDGE, f"{name} is ready after {took(snapshot)}: {_content(snapshot)}.")
    if snapshot.state == SnapshotState.FAILED:
        return Failed(f"{name} failed: {snapshot.message}")
    if snapshot.state == SnapshotState.CANCELED:
        return Failed(f"{name} was canceled. A retry builds it after all.")
    if snapshot.state == SnapshotState.QUEUED:
        return Wait(f"{name} waits for a worker to build it.")
    return Wait(f"{name} is being built: {snapshot.tasks_done} of {snapshot.tasks_total} tasks.")


def _content(snapshot: Snapshot) -> str:
    counts = (snapshot.manifest or {}).get("counts", {})
    train, held_out = counts.get("train", {}), counts.get("held_out", {})
    return (
        f"{counted(train.get('rankings', 0), 'ranking')} with "
        f"{counted(train.get('comparisons', 0), 'comparison')} to train on, "
        f"{counted(held_out.get('rankings', 0), 'ranking')} held out"
    )


def judge(turn: Turn) -> Outcome:
    run = turn.step.judge_run
    if run is None and not turn.settings.judge.train:
        return _newest_judge(turn)
    if run is None:
        judge = turn.settings.judge
        run = _create_run(turn, "reward", judge.preset, judge.values)
        turn.made(f"Run {run.number} is to train a reward model, the judge.", judge_run=run)
    return _of_run(turn, run, Stage.TRAIN)


def _newest_judge(turn: Turn) -> Outcome:
    newest = TrainedAdapter.objects.filter(
        project_id=turn.step.project_id, run__method="reward"
    ).first()
    if newest is not None:
        turn.keep(judge_run=newest.run)
        return GoOn(Stage.TRAIN, f"Adapter {newest.number}, the newest reward model, judges.")
    if turn.settings.wants_win_rate or turn.settings.run.method in NEEDS_JUDGE:
        return Failed(
            "There is no reward model to judge answers, and the policy needs one. Train one "
            "(a run of the method reward), then retry."
        )
    return GoOn(Stage.TRAIN, "There is no reward model: nothing judges, no win rate is measured.")


def train(turn: Turn) -> Outcome:
    run = turn.step.run
    if run is None:
        recipe = turn.settings.run
        parent = turn.incumbent if recipe.start_from == "current" else None
        judge = turn.judge if recipe.method in NEEDS_JUDGE else None
        run = _create_run(turn, recipe.method, recipe.preset, recipe.values, parent, judge)
        start = f"adapter {parent.number}" if parent else "the base"
        turn.made(f"Run {run.number} is to train from {start} ({recipe.method}).", run=run)
    return _of_run(turn, run, Stage.EVALUATE)


def _create_run(
    turn: Turn,
    method: str,
    preset: str,
    values: Values,
    parent: TrainedAdapter | None = None,
    judge: TrainedAdapter | None = None,
) -> TrainingRun:
    assert turn.step.snapshot_id is not None  # noqa: S101
    return runs.create_run(
        project_id=turn.step.project_id,
        actor_id=turn.actor_id,
        snapshot_id=turn.step.snapshot_id,
        method=str(method),
        preset=preset,
        values=values,
        parent_id=parent.pk if parent else None,
        judge_id=judge.pk if judge else None,
    )


def _of_run(turn: Turn, run: TrainingRun, then: Stage) -> Outcome:
    name = f"Run {run.number}"
    if run.state == RunState.FINISHED:
        adapter = TrainedAdapter.objects.filter(run=run).first()
        if adapter is None:
            return Failed(f"{name} finished, but its adapter is gone. Start a new step.")
        for text in run.warnings:
            note(turn.step, f"{name} warns: {text}")
        return GoOn(then, f"{name} made adapter {adapter.number} {_waited(run)}.")
    if run.state == RunState.FAILED:
        return Failed(f"{name} failed: {run.message} {run.advice}".strip())
    if run.state == RunState.CANCELED:
        return Failed(f"{name} was canceled. A retry goes on from its last checkpoint.")
    if run.state == RunState.QUEUED:
        return Wait(f"{name} waits for a worker with a free device.")
    of = f" of {run.steps}" if run.steps else ""
    return Wait(f"{name}: {run.phase or 'running'}, step {run.step}{of}.")


def _waited(run: TrainingRun) -> str:
    if run.started_at is None or run.finished_at is None:
        return f"after {took(run)}"
    waited, worked = run.started_at - run.created_at, run.finished_at - run.started_at
    return f"in {spent(worked)}, after it waited {spent(waited)} for a worker"


def evaluate(turn: Turn) -> Outcome:
    if by_hand := promoted_by_hand(turn):
        return by_hand
    evaluation = turn.step.evaluation
    if evaluation is None:
        incumbent, judge = turn.incumbent, turn.judge
        evaluation = evaluations.create_evaluation(
            project_id=turn.step.project_id,
            actor_id=turn.actor_id,
            candidate_id=turn.candidate.pk,
            incumbent_id=incumbent.pk if incumbent else None,
            judge_id=judge.pk if judge else None,
            settings=turn.settings.evaluation,
            snapshot_id=turn.step.snapshot_id,
        )
        turn.made(
            f"Evaluation {evaluation.number}: adapter {turn.candidate.number} against "
            f"{named(incumbent)}.",
            evaluation=evaluation,
        )
    name = f"Evaluation {evaluation.number}"
    if evaluation.state == EvaluationState.READY:
        for text in doubts(evaluation.report or {}):
            note(turn.step, text)
        return GoOn(Stage.GATE, f"{name} is ready after {took(evaluation)}{_won(evaluation)}.")
    if evaluation.state == EvaluationState.FAILED:
        return Failed(f"{name} failed: {evaluation.message}")
    if evaluation.state == EvaluationState.CANCELED:
        return Failed(f"{name} was canceled. A retry takes it up again.")
    return Wait(f"{name}: {evaluation.message or evaluation.get_state_display()}")


def _won(evaluation: Evaluation) -> str:
    found = (evaluation.report or {}).get("win_rate")
    if not found:
        return ": no win rate was measured"
    return f": win rate {found['value']:.0%} ({found['low']:.0%} to {found['high']:.0%})"
