"""What the two stages that train have in common: a run, watched, stopped and resumed."""

from training.loop.outcomes import Failed, GoOn, Outcome, Wait
from training.loop.policy import Values
from training.loop.words import spent
from training.models import RunState, TrainedAdapter, TrainingRun
from training.models.run import UNFINISHED_RUNS
from training.services import runs
from training.services.loop.stages.canceling import unless_it_ended
from training.services.loop.timeline import note
from training.services.loop.turn import Turn, took


def begin(
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


def watch(turn: Turn, run: TrainingRun) -> Outcome:
    name = f"Run {run.number}"
    if run.state == RunState.FINISHED:
        adapter = TrainedAdapter.objects.filter(run=run).first()
        if adapter is None:
            return Failed(f"{name} finished, but its adapter is gone. Start a new step.")
        for text in run.warnings:
            note(turn.step, f"{name} warns: {text}")
        return GoOn(f"{name} made adapter {adapter.number} {_waited(run)}.")
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


def stop(run: TrainingRun | None, actor_id: int) -> None:
    if run is not None and run.state in UNFINISHED_RUNS:
        unless_it_ended(runs.cancel_run, run_id=run.pk, actor_id=actor_id)


def go_on(run: TrainingRun | None, actor_id: int) -> None:
    if run and run.state in (RunState.FAILED, RunState.CANCELED):
        runs.resume_run(run_id=run.pk, actor_id=actor_id)
