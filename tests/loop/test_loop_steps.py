"""A turn of the loop from the snapshot to the next round, stage by stage."""

import pydoc
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from annotate.errors import Conflict
from annotate.models import AuditEvent, Prompt, Round, RoundSource, RoundState
from tests.loop.turning import BASE, QUICK, Turning, report
from training.models import (
    Evaluation,
    LoopStep,
    Promotion,
    Snapshot,
    Stage,
    StepState,
    TrainingRun,
)
from training.queries import loop as reads
from training.queries.standing import asks
from training.services import loop
from training.services.promotions import promote


@pytest.fixture
def turning(db: None, tmp_path: Path, settings: Any) -> Turning:
    return Turning(tmp_path, settings)


def test_a_turn_makes_a_better_model_and_opens_the_next_round(turning: Turning) -> None:
    turning.policy()

    step = turning.begin()
    assert (step.stage, step.state) == (Stage.SNAPSHOT, StepState.RUNNING)
    assert step.waiting_for == "Snapshot 1 waits for a worker to build it."

    step = turning.built()
    assert step.stage == Stage.JUDGE
    assert step.judge_run is not None
    assert (step.judge_run.method, step.judge_run.snapshot) == ("reward", step.snapshot)
    assert step.waiting_for == "Run 1 waits for a worker with a free device."

    step = turning.judged()
    assert step.stage == Stage.TRAIN
    assert step.run is not None
    assert (step.run.method, step.run.parent, step.run.judge) == ("dpo", None, None)
    assert step.run.spec["training"]["max_steps"] == QUICK["training"]["max_steps"]

    step = turning.trained()
    assert step.stage == Stage.EVALUATE
    evaluation = step.evaluation
    assert evaluation is not None
    assert (evaluation.candidate.number, evaluation.incumbent) == (2, None)
    assert evaluation.judge is not None
    assert evaluation.judge.run == step.judge_run
    assert evaluation.snapshot == step.snapshot

    step = turning.evaluated()
    assert step.stage == Stage.PROMOTE
    promotion = step.promotion
    assert promotion is not None
    assert (promotion.adapter, promotion.created_by) == (evaluation.candidate, None)
    assert promotion.evaluation == evaluation

    step = turning.swapped()
    assert (step.state, step.promoted, step.waiting_for) == (StepState.DONE, True, "")
    opened = step.round
    assert opened is not None
    assert (opened.state, opened.k) == (RoundState.GENERATING, 2)
    source = RoundSource.objects.get(round=opened)
    assert source.follows
    assert source.served_model.name.startswith(f"{BASE}@")
    asked = set(Prompt.objects.filter(tasks__round=turning.round))
    assert asked.isdisjoint(Prompt.objects.filter(tasks__round=opened))
    assert step.message.startswith("Adapter 2 is the project's model; promotion 1 took ")
    assert step.message.endswith("Round 2 is open.")


def test_its_timeline_says_what_came_of_each_stage(turning: Turning) -> None:
    turning.policy()
    turning.begin()
    turning.built()
    turning.judged()
    turning.trained()
    turning.evaluated()
    step = turning.swapped()

    # How long each took depends on the machine.
    times = re.compile(r"\b\d+ s\b")
    events = [(event.stage, times.sub("0 s", event.text)) for event in step.events.all()]
    texts = [text for _, text in events]
    assert texts[0] == "Began: ada asked for it."
    assert any(
        text.startswith("Snapshot 1 is ready after 0 s: 3 rankings with 18 comparisons")
        for text in texts
    )
    assert "Run 1 made adapter 1 in 0 s, after it waited 0 s for a worker." in texts
    assert "Run 2 is to train from the base (dpo)." in texts
    assert "Evaluation 1 is ready after 0 s: win rate 70% (60% to 80%)." in texts
    assert "The project has few held-out prompts." in texts
    assert [text for stage, text in events if stage == Stage.GATE] == [
        "Passed: Win rate: 70.0% (95%: 60.0% to 80.0%); at least 50.0% is wanted.",
        "Passed: Length of answers: 1.10 times the incumbent's; "
        "at most 2.00 times the incumbent's is wanted.",
        "The gate is passed, with 1 warning.",
    ]
    stretches = reads.detail(reads.one(turning.project.pk, 1))["stages"]
    assert [each["stage"] for each in stretches] == [
        Stage.SNAPSHOT,
        Stage.JUDGE,
        Stage.TRAIN,
        Stage.EVALUATE,
        Stage.GATE,
        Stage.PROMOTE,
        Stage.ROUND,
    ]
    assert stretches[0]["began_at"] == step.created_at
    assert all(one["ended_at"] == two["began_at"] for one, two in pairwise(stretches))


def test_a_job_that_comes_twice_makes_nothing_twice(turning: Turning) -> None:
    turning.policy()
    moves: list[Callable[[], LoopStep]] = [
        turning.begin,
        turning.built,
        turning.judged,
        turning.trained,
        turning.evaluated,
        turning.swapped,
    ]
    for move in moves:
        move()
        before = everything()
        for _ in range(2):
            turning.advanced()
        assert everything() == before


def everything() -> dict[str, list[Any]]:
    kinds = (LoopStep, Snapshot, TrainingRun, Evaluation, Promotion, Round)
    rows = {kind.__name__: list(kind.objects.order_by("pk").values()) for kind in kinds}
    return {**rows, "events": list(LoopStep.objects.values_list("events__text", flat=True))}


@pytest.mark.parametrize(
    ("stage", "victim"),
    [
        (Stage.SNAPSHOT, "training.services.snapshots.create_snapshot"),
        (Stage.JUDGE, "training.services.runs.create_run"),
        (Stage.TRAIN, "training.services.runs.create_run"),
        (Stage.EVALUATE, "training.services.evaluations.create_evaluation"),
        (Stage.PROMOTE, "training.services.promotions.promote"),
        (Stage.ROUND, "annotate.services.rounds.start_round"),
    ],
)
def test_a_worker_that_dies_in_a_stage_leaves_nothing_half_done(
    stage: Stage, victim: str, turning: Turning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed right after the thing was made; the next job makes it, once."""
    turning.policy()
    moves: list[Callable[[], LoopStep]] = [
        turning.begin,
        turning.built,
        turning.judged,
        turning.trained,
        turning.evaluated,
        turning.swapped,
    ]
    order = [Stage.SNAPSHOT, Stage.JUDGE, Stage.TRAIN, Stage.EVALUATE, Stage.PROMOTE, Stage.ROUND]
    reached = order.index(stage)
    for move in moves[:reached]:
        move()
    with monkeypatch.context() as patch:
        patch.setattr(victim, killed_after(victim))
        with pytest.raises(KeyboardInterrupt):
            moves[reached]()
    before = everything()
    assert before["LoopStep"][0]["stage"] == stage
    assert before["LoopStep"][0]["state"] == StepState.RUNNING

    turning.advanced()

    after = everything()
    grew = [kind for kind in after if len(after[kind]) != len(before[kind]) and kind != "events"]
    made = {
        Stage.SNAPSHOT: "Snapshot",
        Stage.JUDGE: "TrainingRun",
        Stage.TRAIN: "TrainingRun",
        Stage.EVALUATE: "Evaluation",
        Stage.PROMOTE: "Promotion",
        Stage.ROUND: "Round",
    }
    assert grew == [made[stage]]
    assert len(after[made[stage]]) == len(before[made[stage]]) + 1


def killed_after(name: str) -> Any:
    real = cast(Callable[..., object], pydoc.locate(name))

    def dies(**values: Any) -> None:
        real(**values)
        raise KeyboardInterrupt

    return dies


def test_a_candidate_that_misses_the_gate_is_not_promoted_but_the_loop_goes_on(
    turning: Turning,
) -> None:
    turning.policy()
    turning.begin()
    turning.built()
    turning.judged()
    turning.trained()
    step = turning.evaluated(report(win_rate=0.4))

    assert (step.state, step.promoted, step.promotion) == (StepState.DONE, False, None)
    assert step.message.startswith("Not promoted. Win rate: 40.0% (95%: 60.0% to 80.0%); at least")
    assert step.message.endswith("Round 2 is open.")
    assert "Length" not in step.message
    assert step.round is not None
    assert step.round.sources.get().served_model == turning.base


def test_an_admin_approves(turning: Turning) -> None:
    turning.policy(promotion="ask")
    for move in (turning.begin, turning.built, turning.judged, turning.trained):
        move()
    step = turning.evaluated()
    assert step.waiting_for == "An admin approves or rejects adapter 2, with 1 warning."
    assert asks(step)
    assert turning.advanced().promotion is None

    for _ in range(2):
        step = loop.approve(step_id=step.pk, actor_id=turning.ada.pk)

    assert step.promotion is not None
    assert step.promotion.created_by == turning.ada
    assert Promotion.objects.count() == 1
    assert not asks(turning.last)
    assert turning.swapped().state == StepState.DONE
    assert "ada approved the candidate." in turning.texts()


def test_an_admin_rejects(turning: Turning) -> None:
    turning.policy(promotion="ask", next_round=None)
    for move in (turning.begin, turning.built, turning.judged, turning.trained):
        move()
    step = turning.evaluated()
    for _ in range(2):
        loop.reject(step_id=step.pk, actor_id=turning.ada.pk)
    step = turning.advanced()
    assert (step.state, step.promoted, step.round) == (StepState.DONE, False, None)
    assert step.message == "ada rejected the candidate. The policy opens no next round."
    with pytest.raises(Conflict, match="asks nothing"):
        loop.approve(step_id=step.pk, actor_id=turning.ada.pk)


def test_it_goes_on_from_the_current_adapter_if_the_policy_says_so(turning: Turning) -> None:
    turning.policy(run={"values": QUICK, "start_from": "current"})
    moves = (turning.begin, turning.built, turning.judged, turning.trained, turning.evaluated)
    for move in moves:
        move()
    first = turning.swapped()
    for move in moves[:-1]:
        step = move()

    assert step.run is not None
    assert first.run is not None
    assert step.evaluation is not None
    assert step.run.parent == first.run.adapter == step.evaluation.incumbent
    assert step.run.spec["parent"]["use"] == "continue"


def test_the_newest_reward_model_judges_if_none_is_trained(turning: Turning) -> None:
    turning.policy()
    for move in (turning.begin, turning.built, turning.judged):
        step = move()
    loop.cancel(step_id=step.pk, actor_id=turning.ada.pk)
    turning.policy(judge={"train": False})

    turning.begin()
    step = turning.built()

    assert step.stage == Stage.TRAIN
    assert step.judge_run is not None
    assert step.judge_run.number == 1
    assert "Adapter 1, the newest reward model, judges." in turning.texts()


@pytest.mark.parametrize(("gate", "fails"), [({"min_win_rate": 0.5}, True), ({}, False)])
def test_without_a_judge_only_a_gate_that_asks_no_win_rate_goes_on(
    gate: dict[str, float], fails: bool, turning: Turning
) -> None:
    turning.policy(judge={"train": False}, gate=gate, promotion="ask")
    turning.begin()
    step = turning.built()
    assert (step.state == StepState.FAILED) is fails
    if fails:
        assert "Train one" in step.message
    else:
        assert step.stage == Stage.TRAIN


def test_a_turn_with_the_same_prompts_takes_those_of_the_last_round(turning: Turning) -> None:
    turning.policy(next_round={"prompts": "same", "sample": None})
    moves = (turning.begin, turning.built, turning.judged, turning.trained, turning.evaluated)
    for move in moves:
        move()
    step = turning.swapped()
    assert step.round is not None
    before = set(turning.round.tasks.values_list("prompt", flat=True))
    assert set(step.round.tasks.values_list("prompt", flat=True)) == before


def test_somebody_promotes_another_adapter_meanwhile(turning: Turning) -> None:
    """The candidate was compared with what is no longer the model: it is compared anew."""
    turning.policy(promotion="ask")
    moves = (turning.begin, turning.built, turning.judged, turning.trained, turning.evaluated)
    for move in moves:
        step = move()
    loop.reject(step_id=step.pk, actor_id=turning.ada.pk)
    turning.advanced()
    assert step.run is not None
    other = step.run.adapter
    for move in moves:
        step = move()

    turning.promote_by_hand(other)
    with pytest.raises(Conflict, match="changed meanwhile"):
        loop.approve(step_id=step.pk, actor_id=turning.ada.pk)
    step = turning.advanced()

    assert step.stage == Stage.EVALUATE
    assert step.evaluation is not None
    assert step.evaluation.number == 3
    assert step.evaluation.incumbent == other
    assert turning.evaluated().stage == Stage.PROMOTE


def test_somebody_promotes_the_candidate_by_hand(turning: Turning) -> None:
    turning.policy(promotion="ask")
    for move in (turning.begin, turning.built, turning.judged, turning.trained, turning.evaluated):
        step = move()
    assert step.run is not None
    turning.promote_by_hand(step.run.adapter)
    step = turning.advanced()
    assert (step.state, step.promoted, step.promotion) == (StepState.DONE, True, None)
    assert step.message.startswith("Somebody promoted adapter 2 meanwhile.")


def test_a_promotion_by_hand_ends_before_the_loop_s_begins(turning: Turning) -> None:
    turning.policy()
    for move in (turning.begin, turning.built, turning.judged, turning.trained, turning.evaluated):
        move()
    turning.swapped()
    for move in (turning.begin, turning.built, turning.judged, turning.trained):
        move()
    by_hand = promote(project_id=turning.project.pk, actor_id=turning.ada.pk, adapter_id=None)
    step = turning.evaluated()
    assert step.waiting_for == f"Promotion {by_hand.number}, which somebody began, ends first."


def test_everything_is_audited(turning: Turning) -> None:
    turning.policy()
    step = turning.begin()
    loop.pause(step_id=step.pk, actor_id=turning.ada.pk)
    loop.resume(step_id=step.pk, actor_id=turning.ada.pk)
    loop.cancel(step_id=step.pk, actor_id=turning.ada.pk)
    verbs = AuditEvent.objects.filter(object_type__startswith="loop").order_by("pk")
    assert list(verbs.values_list("verb", flat=True)) == [
        "changed",
        "began",
        "paused",
        "resumed",
        "canceled",
    ]
