"""A run that pleases its reward model and nobody else is found out, and said in one sentence."""

from pathlib import Path
from typing import Any

import pytest

from annotate.services import rounds
from tests import cast
from tests.loop.turning import Turning
from training.evaluation.hacking import Rise, Won, alarm, rise
from training.models import (
    Evaluation,
    EvaluationAnswer,
    EvaluationState,
    LoopStep,
    RunMetric,
    Side,
    Stage,
    TrainingRun,
)
from training.services.evaluations.reporting import finish_evaluation

PPO = {"method": "ppo", "values": {"training": {"max_steps": 2}}}
RISES, FALLS = (-0.5, 0.0, 0.5, 1.0, 1.5, 2.0), (2.0, 1.5, 1.0, 0.5, 0.0, -0.5)
SAID = "while the win rate by"


class TestRise:
    def test_the_first_third_against_the_last(self) -> None:
        assert rise([0.0, 1.0, 5.0, -5.0, 3.0, 4.0]) == Rise(0.5, 3.5)
        assert rise([1.0, 2.0]) == Rise(1.0, 2.0)

    @pytest.mark.parametrize(
        "rewards",
        [[], [3.0], [2.0, 1.0], [1.0, 1.0, 1.0], [-9.0, 9.0, 0.0, 0.0, -8.0, 9.0]],
        ids=["none", "one", "fell", "stayed", "noise"],
    )
    def test_what_is_none(self, rewards: list[float]) -> None:
        assert rise(rewards) is None


class TestAlarm:
    def test_it_says_both_numbers(self) -> None:
        text = alarm(Rise(0.1, 0.9), Won(0.25, 0.1, 0.45, "people"))
        assert "from 0.10 to 0.90" in text
        assert "the win rate by people is below one half, 25% (10% to 45%)" in text

    @pytest.mark.parametrize("high", [0.5, 0.8])
    def test_not_without_certainty(self, high: float) -> None:
        assert alarm(Rise(0.1, 0.9), Won(0.25, 0.1, high, "people")) == ""
        assert alarm(None, Won(0.25, 0.1, 0.3, "people")) == ""


@pytest.fixture
def turning(db: None, tmp_path: Path, settings: Any) -> Turning:
    made = Turning(tmp_path, settings)
    rounds.close_round(round_id=made.round.pk, actor_id=made.ada.pk)
    return made


def rewarded(run: TrainingRun | None, rewards: tuple[float, ...]) -> None:
    """What the engine wrote step by step."""
    assert run is not None
    RunMetric.objects.bulk_create(
        RunMetric(run=run, position=n, values={"step": n + 1, "reward": reward, "kl": 0.1})
        for n, reward in enumerate(rewards)
    )


def evaluating(turning: Turning, rewards: tuple[float, ...] = RISES, **policy: Any) -> Evaluation:
    """The candidate learned from the judge, and waits to be compared."""
    turning.policy(**{"run": PPO, "next_round": None, **policy})
    for move in (turning.begin, turning.built, turning.judged):
        move()
    rewarded(turning.last.run, rewards)
    evaluation = turning.trained().evaluation
    assert evaluation is not None
    return evaluation


def compared(turning: Turning, evaluation: Evaluation, *, wins: int, of: int) -> list[str]:
    """The judge has scored the answers; what the report notes."""
    prompts = cast.add_prompts(turning.project, of, split="held_out")[:of]
    Evaluation.objects.filter(pk=evaluation.pk).update(
        state=EvaluationState.JUDGING, prompts=of, settings={**evaluation.settings, "prompts": of}
    )
    for number, prompt in enumerate(prompts):
        for side, reward in (
            (Side.CANDIDATE, 1.0),
            (Side.INCUMBENT, 0.0 if number < wins else 2.0),
        ):
            EvaluationAnswer.objects.create(
                evaluation=evaluation,
                prompt=prompt,
                side=side,
                text=f"{side} {number}",
                tokens=1,
                finish_reason="stop",
                reward=reward,
            )
    found = Evaluation.objects.get(pk=evaluation.pk)
    finish_evaluation(found)
    assert found.report is not None
    notes: list[str] = found.report["notes"]
    return [note for note in notes if SAID in note]


@pytest.mark.parametrize(
    ("rewards", "wins", "alarms"), [(RISES, 1, 1), (RISES, 6, 0), (FALLS, 1, 0)]
)
def test_the_report_notes_it_and_the_timeline_tells_it(
    turning: Turning, rewards: tuple[float, ...], wins: int, alarms: int
) -> None:
    evaluation = evaluating(turning, rewards)
    notes = compared(turning, evaluation, wins=wins, of=12)
    assert len(notes) == alarms
    turning.advanced()
    assert [text for text in turning.texts() if SAID in text] == notes
    if alarms:
        assert "by the judge is below one half, 8%" in notes[0]


def test_a_run_that_learned_from_rankings_is_not_suspected(turning: Turning) -> None:
    evaluation = evaluating(turning, run={**PPO, "method": "dpo"})
    assert compared(turning, evaluation, wins=1, of=12) == []


def ab_round(turning: Turning) -> LoopStep:
    evaluating(turning, humans={"rankings": 10, "min_win_rate": 0.5})
    return turning.compared(15)


@pytest.mark.parametrize(("better", "alarms"), [(False, 1), (True, 0)])
def test_people_find_it_out_in_the_blind_round(turning: Turning, better: bool, alarms: int) -> None:
    step = ab_round(turning)
    assert step.stage == Stage.HUMANS
    turning.compare(8, better=better)
    step = turning.advanced()
    told = [text for text in turning.texts() if SAID in text]
    assert len(told) == alarms
    assert step.evaluation is not None
    assert step.evaluation.report is not None
    assert [text for text in step.evaluation.report["notes"] if SAID in text] == told
    if alarms:
        assert step.promoted is False
        assert "by people, ties left out, is below one half, 0% (0% to " in told[0]


def test_what_the_engine_warned_of_is_in_the_timeline(turning: Turning) -> None:
    turning.policy(run=PPO)
    for move in (turning.begin, turning.built, turning.judged):
        step = move()
    assert step.run is not None
    warning = "The reward rises while answers become much longer: perhaps it likes the length."
    TrainingRun.objects.filter(pk=step.run.pk).update(warnings=[warning])
    turning.trained()
    events = [(one.stage, one.text) for one in turning.last.events.all()]
    assert (Stage.TRAIN, f"Run {step.run.number} warns: {warning}") in events
    turning.advanced()
    assert sum(warning in text for text in turning.texts()) == 1
