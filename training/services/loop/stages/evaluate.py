"""The candidate is compared with what the project's model is now."""

from training.evaluation.doubts import doubts
from training.loop.outcomes import Failed, GoOn, Outcome, Wait
from training.models import Evaluation, EvaluationState, LoopStep, Stage
from training.models.evaluation import UNFINISHED_EVALUATIONS
from training.services import evaluations
from training.services.loop.stages.canceling import unless_it_ended
from training.services.loop.stages.incumbent import promoted_by_hand
from training.services.loop.stages.stage import LoopStage
from training.services.loop.timeline import note
from training.services.loop.turn import Turn, named, took


def look(turn: Turn) -> Outcome:
    if by_hand := promoted_by_hand(turn):
        return by_hand
    evaluation = turn.step.evaluation or _begin(turn)
    name = f"Evaluation {evaluation.number}"
    if evaluation.state == EvaluationState.READY:
        for text in doubts(evaluation.report or {}):
            note(turn.step, text)
        return GoOn(f"{name} is ready after {took(evaluation)}{_won(evaluation)}.")
    if evaluation.state == EvaluationState.FAILED:
        return Failed(f"{name} failed: {evaluation.message}")
    if evaluation.state == EvaluationState.CANCELED:
        return Failed(f"{name} was canceled. A retry takes it up again.")
    return Wait(f"{name}: {evaluation.message or evaluation.get_state_display()}")


def _begin(turn: Turn) -> Evaluation:
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
    return evaluation


def _won(evaluation: Evaluation) -> str:
    found = (evaluation.report or {}).get("win_rate")
    if not found:
        return ": no win rate was measured"
    return f": win rate {found['value']:.0%} ({found['low']:.0%} to {found['high']:.0%})"


def stop(step: LoopStep, actor_id: int) -> None:
    evaluation = step.evaluation
    if evaluation is not None and evaluation.state in UNFINISHED_EVALUATIONS:
        cancel = evaluations.cancel_evaluation
        unless_it_ended(cancel, evaluation_id=evaluation.pk, actor_id=actor_id)


def mend(step: LoopStep, actor_id: int) -> None:
    evaluation = step.evaluation
    if evaluation and evaluation.state in (EvaluationState.FAILED, EvaluationState.CANCELED):
        evaluations.retry_evaluation(evaluation_id=evaluation.pk, actor_id=actor_id)


STAGE = LoopStage(
    name=Stage.EVALUATE, look=look, stop=stop, mend=mend, made={"evaluation": "evaluation"}
)
