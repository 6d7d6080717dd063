"""What a person's cancel and retry mean for the things that a step has begun."""

from collections.abc import Callable

from django.db import transaction

from annotate.errors import Conflict
from annotate.models import RoundState
from annotate.services import rounds
from training.models import (
    EvaluationState,
    LoopStep,
    PromotionState,
    RunState,
    SnapshotState,
    Stage,
)
from training.models.evaluation import UNFINISHED_EVALUATIONS
from training.models.promotion import UNFINISHED_PROMOTIONS
from training.models.run import UNFINISHED_RUNS, TrainingRun
from training.models.snapshot import UNFINISHED as UNFINISHED_SNAPSHOTS
from training.services import ab, evaluations, runs, snapshots


def stop(step: LoopStep, actor_id: int) -> None:
    """Cancel what is not finished. Raises Conflict while a promotion is being swapped in."""
    if step.promotion is not None and step.promotion.state in UNFINISHED_PROMOTIONS:
        raise Conflict(
            f"Promotion {step.promotion.number} is just being swapped in, which takes seconds. "
            "Wait for it, then roll back.",
            retry=True,
        )
    if step.snapshot is not None and step.snapshot.state in UNFINISHED_SNAPSHOTS:
        _unless_it_ended(snapshots.cancel_snapshot, snapshot_id=step.snapshot.pk, actor_id=actor_id)
    for run in (step.judge_run, step.run):
        if run is not None and run.state in UNFINISHED_RUNS:
            _unless_it_ended(runs.cancel_run, run_id=run.pk, actor_id=actor_id)
    evaluation = step.evaluation
    if evaluation is not None and evaluation.state in UNFINISHED_EVALUATIONS:
        _unless_it_ended(
            evaluations.cancel_evaluation, evaluation_id=evaluation.pk, actor_id=actor_id
        )
    if step.stage == Stage.HUMANS:
        ab.stop(step, actor_id)


def _unless_it_ended(cancel: Callable[..., object], **which: int) -> None:
    """What ended in this moment needs no canceling."""
    try:
        with transaction.atomic():
            cancel(**which)
    except Conflict:
        pass


def mend(step: LoopStep, actor_id: int) -> None:
    """Let what failed in the step's stage be tried again, or be made anew."""
    match step.stage:
        case Stage.SNAPSHOT:
            _build_again(step, actor_id)
        case Stage.JUDGE:
            _go_on(step.judge_run, actor_id)
        case Stage.TRAIN:
            _go_on(step.run, actor_id)
        case Stage.EVALUATE:
            _evaluate_again(step, actor_id)
        case Stage.HUMANS:
            _compare_again(step, actor_id)
        case Stage.PROMOTE:
            if step.promotion is not None and step.promotion.state == PromotionState.FAILED:
                step.promotion = None


def _build_again(step: LoopStep, actor_id: int) -> None:
    snapshot = step.snapshot
    if snapshot and snapshot.state in (SnapshotState.FAILED, SnapshotState.CANCELED):
        snapshots.retry_snapshot(snapshot_id=snapshot.pk, actor_id=actor_id)


def _go_on(run: TrainingRun | None, actor_id: int) -> None:
    if run and run.state in (RunState.FAILED, RunState.CANCELED):
        runs.resume_run(run_id=run.pk, actor_id=actor_id)


def _evaluate_again(step: LoopStep, actor_id: int) -> None:
    evaluation = step.evaluation
    if evaluation and evaluation.state in (EvaluationState.FAILED, EvaluationState.CANCELED):
        evaluations.retry_evaluation(evaluation_id=evaluation.pk, actor_id=actor_id)


def _compare_again(step: LoopStep, actor_id: int) -> None:
    round_ = step.ab_round
    if round_ is not None and round_.state == RoundState.FAILED:
        rounds.retry_round(round_id=round_.pk, actor_id=actor_id)
    elif round_ is not None and round_.state == RoundState.CANCELED:
        step.ab_round = None
