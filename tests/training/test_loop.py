"""The loop's refusals and its arithmetic, with an objective that does as it is told."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from tests.training.packs import tokens
from training.engine.errors import NotFinite, Stopped
from training.engine.groups import Group
from training.engine.loop import AfterStep, Run, train
from training.engine.objective import Outcome
from training.engine.packing import Pack
from training.engine.plan import Plan
from training.engine.spec import Optimizer, Training
from training.engine.stopping import to_measure


class Weight(nn.Module):
    """One number, which is every completion's score."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(1.0))

    def forward(self, packed: Pack) -> Tensor:
        return self.value.expand(packed.completions)


class Told:
    """A loss of `value` times what it is told for the step."""

    def __init__(self, factors: Sequence[float]) -> None:
        self.scorer = Weight()
        self.factors = list(factors)

    def __call__(self, scores: Tensor, packed: Pack) -> Outcome:
        return Outcome(scores.sum() * self.factors.pop(0), {})

    def weight(self, groups: Sequence[Group]) -> float:
        return float(len(groups))


class Ears:
    """A listener that remembers, and a stop that is asked for after a number of steps."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.lines: list[dict[str, Any]] = []
        self.stop_after = stop_after

    @property
    def requested(self) -> bool:
        return len(self.lines) >= self.stop_after

    def phase(self, name: str, total: int | None = None) -> None:
        pass

    def progress(self, done: int) -> None:
        pass

    def metrics(self, values: dict[str, Any]) -> None:
        self.lines.append(values)


def go(
    folder: Path, objective: Told, ears: Ears, steps: int, evaluate: AfterStep | None = None
) -> int:
    groups = [Group(f"g{n}", tokens(3, n), (tokens(2, n),)) for n in range(2)]
    plan = Plan(tuple(group.tokens for group in groups), 1, 100, steps, seed=0)
    run = Run(
        plan=plan,
        optimizer=Optimizer(lr=0.1, warmup_ratio=0.0, schedule="constant"),
        training=Training(max_steps=steps, checkpoint_every=1000, evaluate_every=1),
        checkpoints=folder,
        listener=ears,
        stop=ears,
        evaluate=evaluate,
    )
    return train(objective, objective.scorer, groups, run, Accelerator(cpu=True))


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run_in_words(tmp_path: Path, factor: float) -> None:
    ears = Ears()
    objective = Told([1.0, 1.0, factor])
    with pytest.raises(NotFinite, match="The loss of step 3") as ended:
        go(tmp_path, objective, ears, 5)
    assert "learning rate" in ended.value.advice
    assert len(ears.lines) == 2
    assert torch.isfinite(objective.scorer.value)


def test_a_stop_saves_and_the_next_start_goes_on(tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="after step 2 of 4"):
        go(tmp_path, Told([1.0] * 4), Ears(stop_after=2), 4)
    ears = Ears()
    assert go(tmp_path, Told([1.0] * 2), ears, 4) == 4
    assert [line["step"] for line in ears.lines] == [3, 4]


def test_a_stop_at_the_last_step_is_a_finished_run(tmp_path: Path) -> None:
    assert go(tmp_path, Told([1.0] * 2), Ears(stop_after=2), 2) == 2


def test_what_a_step_reports(tmp_path: Path) -> None:
    ears = Ears()
    go(tmp_path, Told([3.0]), ears, 1)
    (line,) = ears.lines
    assert line["loss"] == pytest.approx(3.0)
    assert line["grad_norm"] == pytest.approx(3.0)
    assert line["lr"] == pytest.approx(0.1)
    assert line["tokens"] == 5
    assert line["epoch"] == 0.5


def test_a_stop_in_an_evaluation_on_the_way_keeps_the_step(tmp_path: Path) -> None:
    """What was trained since the last checkpoint is not lost for a number that nobody waits for."""
    ears = Ears()

    def evaluate(_step: int) -> dict[str, float]:
        ears.stop_after = 0
        list(to_measure([1, 2], ears))
        raise AssertionError("the evaluation went on")

    with pytest.raises(Stopped, match="after step 1 of 4"):
        go(tmp_path, Told([1.0]), ears, 4, evaluate)
    assert [line["step"] for line in ears.lines] == [1]
    again = Ears()
    assert go(tmp_path, Told([1.0] * 3), again, 4) == 4
    assert [line["step"] for line in again.lines] == [2, 3, 4]
