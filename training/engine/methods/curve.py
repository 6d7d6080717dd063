"""The learning curve of a run: the same training again on parts of its data."""

import math
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from training.engine.checkpoints import load_trainable
from training.engine.evaluation.curve import Point, learning_curve, subsets
from training.engine.evaluation.estimates import Estimate
from training.engine.evaluation.judged import Score
from training.engine.evaluation.report import Evaluation, write_evaluation
from training.engine.groups import Group
from training.engine.loop import train
from training.engine.methods.session import Session, evaluate_preferences, plan_on, run_on
from training.engine.objective import Objective
from training.engine.plan import whole_steps
from training.engine.stopping import end_if_asked


class Quiet:
    """A listener for the parts: their metrics are not the run's."""

    def __init__(self, session: Session, name: str) -> None:
        self._reporter, self._name = session.reporter, name

    def phase(self, name: str, total: int | None = None) -> None:
        self._reporter.phase(f"{self._name}: {name}", total)

    def progress(self, done: int) -> None:
        self._reporter.progress(done)

    def metrics(self, values: dict[str, Any]) -> None:
        pass


def add_learning_curve(
    session: Session,
    objective: Objective,
    prepared: nn.Module,
    score: Score,
    initial: dict[str, Tensor],
    evaluation: Evaluation,
) -> None:
    """Train afresh on 12, 25 and 50% of the groups, and write the curve into the evaluation.

    initial: the trainable weights before the first step. The last point is the run itself. The
    model is left as the last part trained it.
    """
    groups = session.data.train
    checkpoints = session.folder.checkpoints / "curve"
    try:
        parts = subsets(groups, seed=session.spec.training.seed)
    except ValueError as problem:
        _write(session, evaluation.merged(Evaluation(missing={"learning_curve": str(problem)})))
        return

    def accuracy_after(part: Sequence[Group]) -> Estimate | None:
        if len(part) == len(groups):
            return evaluation.accuracy
        end_if_asked(session.stop, "between two parts of the learning curve")
        load_trainable(objective.scorer, initial)
        # Each part drops out by the same numbers, whatever was trained before it.
        torch.manual_seed(session.spec.training.seed)
        name = f"learning curve, {len(part)} of {len(groups)} groups"
        folder = checkpoints / str(len(part))
        run = run_on(session, part, _steps(session, part), folder, Quiet(session, name))
        train(objective, prepared, part, run, session.accelerator)
        return evaluate_preferences(session, objective.scorer, score).accuracy

    points: tuple[Point, ...] = learning_curve(parts, accuracy_after)
    _write(session, evaluation.merged(Evaluation(learning_curve=points)))
    if session.folder.writes:
        shutil.rmtree(checkpoints, ignore_errors=True)


def groups_of_curve(session: Session) -> Iterator[Group]:
    """The groups that the curve's trainings learn from, some of them several times over."""
    try:
        parts = subsets(session.data.train, seed=session.spec.training.seed)
    except ValueError:  # too few for a curve, which its evaluation then says
        return
    for part in (one.groups for one in parts if len(one.groups) < len(session.data.train)):
        for number in plan_on(session, part, _steps(session, part)).used():
            yield part[number]


def _steps(session: Session, part: Sequence[Group]) -> int:
    """As many passes over the part as the run makes over all."""
    training = session.spec.training
    share = len(part) / len(session.data.train)
    most = None if training.max_steps is None else math.ceil(training.max_steps * share)
    return whole_steps(len(part), training.groups_per_step, training.epochs, most)


def _write(session: Session, evaluation: Evaluation) -> None:
    if session.folder.writes:
        write_evaluation(evaluation, session.folder.evaluation)
