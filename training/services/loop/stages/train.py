"""The candidate is trained on this step's snapshot."""

from training.loop.outcomes import Outcome
from training.models import LoopStep, Stage
from training.services.loop.stages import of_run
from training.services.loop.stages.stage import LoopStage
from training.services.loop.turn import Turn


def look(turn: Turn) -> Outcome:
    run = turn.step.run
    if run is None:
        recipe = turn.settings.run
        parent = turn.incumbent if recipe.start_from == "current" else None
        judge = turn.judge if recipe.method.learns_from_judge else None
        run = of_run.begin(turn, recipe.method, recipe.preset, recipe.values, parent, judge)
        start = f"adapter {parent.number}" if parent else "the base"
        turn.made(f"Run {run.number} is to train from {start} ({recipe.method}).", run=run)
    return of_run.watch(turn, run)


def stop(step: LoopStep, actor_id: int) -> None:
    of_run.stop(step.run, actor_id)


def mend(step: LoopStep, actor_id: int) -> None:
    of_run.go_on(step.run, actor_id)


STAGE = LoopStage(
    name=Stage.TRAIN, look=look, stop=stop, mend=mend, made={"run": "run", "candidate": "adapter"}
)
