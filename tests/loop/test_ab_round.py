"""A blind A/B round of the candidate against the project's model, inside a step of the loop."""

from pathlib import Path
from typing import Any

import pytest

from annotate.models import Prompt, Round, RoundState, Split
from annotate.services import rounds
from inference.errors import SwapRefused
from inference.models import ModelAlias, ServedModel
from tests import cast
from tests.loop.turning import Turning
from training.models import LoopStep, Stage, StepState
from training.queries import loop as reads
from training.queries.ab import standing
from training.services import loop
from training.services.evaluations import contenders
from training.services.loop.stages import people


@pytest.fixture
def turning(db: None, tmp_path: Path, settings: Any) -> Turning:
    made = Turning(tmp_path, settings)
    rounds.close_round(round_id=made.round.pk, actor_id=made.ada.pk)
    made.policy(humans={"rankings": 30, "min_win_rate": 0.5}, next_round=None)
    for move in (made.begin, made.built, made.judged, made.trained):
        move()
    return made


def opened(turning: Turning, prompts: int = 12) -> LoopStep:
    return turning.compared(5 + prompts)


def test_the_same_answer_of_both_sides_is_a_tie(turning: Turning) -> None:
    step = turning.compared(17, ["Yes.", "Yes. "])
    assert step.ab_round is not None

    judge(turning, 2)

    found = standing(step.ab_round)
    assert (found.wins, found.ties, found.losses) == (0, 2, 0)


def judge(turning: Turning, count: int, *, better: bool = True, tie: bool = False) -> None:
    turning.compare(count, better=better, tie=tie)


def test_it_waits_until_the_candidate_is_served(
    turning: Turning, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = turning.evaluated()
    assert (step.stage, step.ab_round) == (Stage.HUMANS, None)
    assert step.waiting_for == "The candidate is being loaded on the inference servers."

    def refuses(*_: Any) -> None:
        raise SwapRefused("No place is free.")

    monkeypatch.setattr(people, "_serve", refuses)
    people.serve_candidate(step_id=step.pk)
    assert turning.advanced().waiting_for == "The candidate is not served yet: No place is free."

    assert step.run is not None
    adapter = step.run.adapter
    monkeypatch.setattr(people, "_serve", lambda *_: turning.serve(adapter, "candidate"))
    people.serve_candidate(step_id=step.pk)
    step = turning.advanced()
    assert step.ab_round is not None
    assert step.ab_round.state == RoundState.GENERATING


def test_a_candidate_that_can_never_be_served_fails_the_step(
    turning: Turning, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = turning.evaluated()

    def refuses(*_: Any) -> None:
        raise SwapRefused("It has rank 1024.", permanent=True)

    monkeypatch.setattr(people, "_serve", refuses)
    for _ in range(2):
        people.serve_candidate(step_id=step.pk)
    step = turning.advanced()
    assert (step.state, step.stage) == (StepState.FAILED, Stage.HUMANS)
    assert step.message == "The candidate cannot be served: It has rank 1024."


def test_the_round_asks_both_sides_about_prompts_that_training_has_not_seen(
    turning: Turning,
) -> None:
    step = opened(turning)
    round_ = step.ab_round
    assert round_ is not None
    assert (round_.k, round_.overlap) == (2, 1)
    candidate, incumbent = round_.sources.order_by("pk")
    assert candidate.served_model.kind == ServedModel.Kind.ADAPTER
    assert incumbent.served_model == turning.base
    assert {candidate.follows, incumbent.follows} == {False}
    asked = Prompt.objects.filter(tasks__round=round_)
    assert set(asked.values_list("split", flat=True)) == {Split.TRAIN}
    assert not asked.filter(tasks__round=turning.round).exists()
    for task in round_.tasks.all():
        assert set(task.completions.values_list("source", flat=True)) == {
            candidate.pk,
            incumbent.pk,
        }


def test_labelers_see_nothing_of_who_wrote_what(turning: Turning) -> None:
    opened(turning)
    client = cast.signed_in(turning.lena)
    shown = client.post("/api/projects/tone/claims").content.decode()
    assert "Answer" in shown
    assert "@" not in shown
    assert "smol" not in shown


def test_it_ends_as_soon_as_the_candidate_is_better_for_sure(turning: Turning) -> None:
    opened(turning)
    judge(turning, 7)
    judge(turning, 1, tie=True)
    step = turning.advanced()
    assert step.stage == Stage.HUMANS
    assert step.waiting_for == "8 of at most 30 rankings in A/B round 2."
    judge(turning, 1)

    step = turning.advanced()
    assert step.stage == Stage.PROMOTE
    assert step.ab_round is not None
    assert step.ab_round.state == RoundState.CLOSED
    assert step.promotion is not None
    found = reads.detail(reads.one(turning.project.pk, 1))["ab"]
    assert (found["wins"], found["ties"], found["losses"], found["passed"]) == (8, 1, 0, True)
    assert found["low"] > 0.5
    assert any(text.startswith("Decided after 9 rankings") for text in turning.texts())


def test_a_candidate_that_people_like_less_is_not_promoted(turning: Turning) -> None:
    opened(turning)
    judge(turning, 8, better=False)
    step = turning.advanced()
    assert (step.state, step.promoted, step.promotion) == (StepState.DONE, False, None)
    assert step.message.startswith("Not promoted. Decided after 8 rankings: it is worse.")


def test_it_ends_without_certainty_when_every_place_is_filled(turning: Turning) -> None:
    opened(turning, prompts=4)
    round_ = turning.last.ab_round
    assert round_ is not None
    count = round_.tasks.count()
    judge(turning, count - 1)
    assert turning.advanced().stage == Stage.HUMANS
    judge(turning, 1, better=False)
    step = turning.advanced()
    assert step.stage == Stage.PROMOTE
    assert any("without certainty who is better" in text for text in turning.texts())


def test_held_out_prompts_are_taken_when_no_others_are_fresh(turning: Turning) -> None:
    Prompt.objects.filter(tasks=None, split=Split.TRAIN).delete()
    step = turning.evaluated()
    assert step.run is not None
    turning.serve(step.run.adapter, "candidate")
    step = turning.advanced()
    asked = Prompt.objects.filter(tasks__round=step.ab_round)
    assert set(asked.values_list("split", flat=True)) == {Split.HELD_OUT}


def test_without_any_prompt_it_says_what_to_do(turning: Turning) -> None:
    turning.evaluated()
    Prompt.objects.filter(tasks=None).delete()
    step = turning.last
    assert step.run is not None
    turning.serve(step.run.adapter, "candidate")
    step = turning.advanced()
    assert step.state == StepState.FAILED
    assert "Import prompts, then retry." in step.message


def test_a_round_that_somebody_cancels_is_opened_again_by_a_retry(turning: Turning) -> None:
    step = opened(turning)
    assert step.ab_round_id is not None
    rounds.cancel_round(round_id=step.ab_round_id, actor_id=turning.ada.pk)
    step = turning.advanced()
    assert step.state == StepState.FAILED
    assert "was canceled. A retry opens another one." in step.message
    loop.retry(step_id=step.pk, actor_id=turning.ada.pk)
    step = turning.advanced()
    assert step.ab_round is not None
    assert (step.ab_round.number, step.ab_round.state) == (3, RoundState.GENERATING)


def test_a_round_that_somebody_closes_counts_as_it_is(turning: Turning) -> None:
    step = opened(turning)
    judge(turning, 2)
    assert step.ab_round_id is not None
    rounds.close_round(round_id=step.ab_round_id, actor_id=turning.ada.pk)
    step = turning.advanced()
    assert step.stage == Stage.PROMOTE
    assert any(text.startswith("It ended after 2 rankings") for text in turning.texts())


def test_cancel_ends_the_round_and_lets_the_candidate_go(turning: Turning) -> None:
    step = opened(turning)
    judge(turning, 2)
    loop.cancel(step_id=step.pk, actor_id=turning.ada.pk)
    assert step.ab_round is not None
    round_ = Round.objects.get(pk=step.ab_round.pk)
    assert round_.state == RoundState.CANCELED
    assert round_.rankings.count() == 2
    contenders.release_forgotten()
    assert not ModelAlias.objects.filter(name="tone/candidate").exists()


def test_a_candidate_that_lost_its_place_is_served_again(
    turning: Turning, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.add_prompts(turning.project, 9)
    turning.evaluated()
    assert turning.last.run is not None
    turning.serve(turning.last.run.adapter, "candidate")
    step = turning.advanced()
    assert step.ab_round is not None
    ModelAlias.objects.all().delete()
    sent: list[str] = []
    monkeypatch.setattr(people, "enqueue", lambda name, **_: sent.append(name))
    turning.advanced()
    assert sent == [people.SERVE]


def test_it_is_of_no_use_any_more_when_somebody_promotes_another_model(turning: Turning) -> None:
    step = opened(turning)
    other = turning.finish(_another_run(step))
    turning.promote_by_hand(other)
    step = turning.advanced()
    assert (step.stage, step.ab_round) == (Stage.EVALUATE, None)
    assert Round.objects.get(number=2).state == RoundState.CANCELED
    assert step.evaluation is not None
    assert step.evaluation.incumbent == other


def _another_run(step: LoopStep) -> Any:
    run = step.run
    assert run is not None
    run.pk, run.number, run._state.adding = None, 9, True
    run.save()
    return run
