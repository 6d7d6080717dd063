"""The first stage: the project's rankings, as the policy chooses them, as a snapshot."""

from training.loop.outcomes import Failed, GoOn, Outcome, Wait
from training.loop.words import counted
from training.models import LoopStep, Snapshot, SnapshotState, Stage
from training.models.snapshot import UNFINISHED
from training.services import snapshots
from training.services.loop.stages.canceling import unless_it_ended
from training.services.loop.stages.stage import LoopStage
from training.services.loop.turn import Turn, took
from training.snapshots.spec import SnapshotSpec


def look(turn: Turn) -> Outcome:
    snapshot = turn.step.snapshot or _begin(turn)
    name = f"Snapshot {snapshot.number}"
    if snapshot.state == SnapshotState.READY:
        return GoOn(f"{name} is ready after {took(snapshot)}: {_content(snapshot)}.")
    if snapshot.state == SnapshotState.FAILED:
        return Failed(f"{name} failed: {snapshot.message}")
    if snapshot.state == SnapshotState.CANCELED:
        return Failed(f"{name} was canceled. A retry builds it after all.")
    if snapshot.state == SnapshotState.QUEUED:
        return Wait(f"{name} waits for a worker to build it.")
    return Wait(f"{name} is being built: {snapshot.tasks_done} of {snapshot.tasks_total} tasks.")


def _begin(turn: Turn) -> Snapshot:
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
    return snapshot


def _content(snapshot: Snapshot) -> str:
    counts = (snapshot.manifest or {}).get("counts", {})
    train, held_out = counts.get("train", {}), counts.get("held_out", {})
    return (
        f"{counted(train.get('rankings', 0), 'ranking')} with "
        f"{counted(train.get('comparisons', 0), 'comparison')} to train on, "
        f"{counted(held_out.get('rankings', 0), 'ranking')} held out"
    )


def stop(step: LoopStep, actor_id: int) -> None:
    if step.snapshot is not None and step.snapshot.state in UNFINISHED:
        unless_it_ended(snapshots.cancel_snapshot, snapshot_id=step.snapshot.pk, actor_id=actor_id)


def mend(step: LoopStep, actor_id: int) -> None:
    snapshot = step.snapshot
    if snapshot and snapshot.state in (SnapshotState.FAILED, SnapshotState.CANCELED):
        snapshots.retry_snapshot(snapshot_id=snapshot.pk, actor_id=actor_id)


STAGE = LoopStage(
    name=Stage.SNAPSHOT, look=look, stop=stop, mend=mend, made={"snapshot": "snapshot"}
)
