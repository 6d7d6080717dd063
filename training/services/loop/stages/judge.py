"""A reward model judges the candidate: trained on this step's snapshot, or the newest there is."""

from training.loop.outcomes import Failed, GoOn, Outcome
from training.models import LoopStep, Stage, TrainedAdapter
from training.services.loop.stages import of_run
from training.services.loop.stages.stage import LoopStage
from training.services.loop.turn import Turn


def look(turn: Turn) -> Outcome:
    run = turn.step.judge_run
    if run is None and not turn.settings.judge.train:
        return _newest(turn)
    if run is None:
        judge = turn.settings.judge
        run = of_run.begin(turn, "reward", judge.preset, judge.values)
        turn.made(f"Run {run.number} is to train a reward model, the judge.", judge_run=run)
    return of_run.watch(turn, run)


def _newest(turn: Turn) -> Outcome:
    newest = TrainedAdapter.objects.filter(
        project_id=turn.step.project_id, run__method="reward"
    ).first()
    if newest is not None:
        turn.keep(judge_run=newest.run)
        return GoOn(f"Adapter {newest.number}, the newest reward model, judges.")
    if turn.settings.wants_win_rate or turn.settings.run.method.learns_from_judge:
        return Failed(
            "There is no reward model to judge answers, and the policy needs one. Train one "
            "(a run of the method reward), then retry."
        )
    return GoOn("There is no reward model: nothing judges, no win rate is measured.")


def stop(step: LoopStep, actor_id: int) -> None:
    of_run.stop(step.judge_run, actor_id)


def mend(step: LoopStep, actor_id: int) -> None:
    of_run.go_on(step.judge_run, actor_id)


STAGE = LoopStage(
    name=Stage.JUDGE, look=look, stop=stop, mend=mend, made={"judge_run": "run", "judge": "adapter"}
)
