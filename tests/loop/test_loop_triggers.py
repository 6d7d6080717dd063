"""When the loop turns by itself: after so many comparisons or hours, and never too often."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from annotate.models import Comparison, Membership, Role, Round
from annotate.queries.prompts import PromptFilter
from annotate.services.projects import create_project
from tests.loop.turning import Turning
from training.loop.policy import Trigger, read
from training.loop.turns import Past, next_turn
from training.loop.words import moment, spent
from training.models import LoopPolicy, LoopStep, StepState
from training.queries import loop as reads
from training.queries.turns import next_of
from training.services import loop

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def turning(db: None, tmp_path: Path, settings: Any) -> Turning:
    return Turning(tmp_path, settings)


@pytest.mark.parametrize(
    ("trigger", "fresh", "cause", "text"),
    [
        (
            Trigger(comparisons=20, hours=26),
            8,
            "",
            "12 more comparisons until the next turn, or tomorrow at 09:00 UTC.",
        ),
        (Trigger(comparisons=9), 8, "", "1 more comparison until the next turn."),
        (
            Trigger(comparisons=8),
            8,
            "8 new comparisons since step 3; the policy asks for 8.",
            "The next turn begins now.",
        ),
        (
            Trigger(comparisons=None, hours=5),
            8,
            "5 h have passed, with 8 new comparisons since step 3.",
            "The next turn begins now.",
        ),
        (
            Trigger(comparisons=None, hours=5),
            0,
            "",
            "The next turn begins with the first new comparison, due since today at 12:00 UTC.",
        ),
        (
            Trigger(comparisons=None, hours=6),
            0,
            "",
            "The next turn begins today at 13:00 UTC, if there is a new comparison.",
        ),
        (Trigger(comparisons=None), 8, "", "Nothing sets the loop off: it turns by hand only."),
    ],
)
def test_what_is_due_and_what_is_said(trigger: Trigger, fresh: int, cause: str, text: str) -> None:
    past = Past(step=3, since=NOON - timedelta(hours=5), fresh=fresh)
    found = next_turn(trigger, past, active=True, now=NOON)
    assert (found.cause, found.text) == (cause, text)
    off = next_turn(trigger, past, active=False, now=NOON)
    assert off.cause == ""
    assert off.text.startswith("The loop is off: it turns by hand only. ")


def test_lengths_of_time_and_moments_are_said_as_people_say_them() -> None:
    said = [
        spent(timedelta(seconds=each))
        for each in (0.4, 119, 121, 3599, 3900, 7200, 86_400 * 3 + 3700)
    ]
    assert said == ["0 s", "119 s", "2 min", "1 h", "1 h 5 min", "2 h", "3 days 1 h"]
    assert moment(NOON + timedelta(days=4), NOON) == "on 8 May at 12:00 UTC"
    assert moment(NOON.replace(year=2027), NOON) == "on 4 May 2027 at 12:00 UTC"
    assert moment(NOON - timedelta(days=1), NOON) == "yesterday at 12:00 UTC"


def test_it_turns_after_so_many_comparisons_and_not_again_for_the_same(turning: Turning) -> None:
    turning.policy(trigger={"comparisons": 19})
    loop.tick()
    assert not LoopStep.objects.exists()  # three rankings of four have 18

    turning.policy(trigger={"comparisons": 18})
    loop.tick()
    loop.tick()
    step = turning.last
    assert (step.number, step.created_by) == (1, None)
    assert step.cause == "18 new comparisons; the policy asks for 18."

    turning.advanced()
    turning.built()
    loop.cancel(step_id=step.pk, actor_id=turning.ada.pk)
    loop.tick()
    assert LoopStep.objects.count() == 1

    rank_three_more(turning)
    loop.tick()
    assert turning.last.cause == "18 new comparisons since step 1; the policy asks for 18."


def rank_three_more(turning: Turning) -> None:
    more = turning.start_round(PromptFilter(split="train", of_round=1))
    turning.rank(more, 3)


def test_a_step_that_fails_at_once_does_not_begin_again_and_again(turning: Turning) -> None:
    turning.policy(trigger={"comparisons": 6}, snapshot={"minimum_overlap": 9})
    loop.tick()
    assert turning.advanced().state == StepState.FAILED
    loop.tick()
    assert LoopStep.objects.count() == 1
    LoopStep.objects.update(created_at=NOON)  # the rankings came after it
    loop.tick()
    assert LoopStep.objects.count() == 2


def test_it_turns_after_so_many_hours_with_something_new(turning: Turning) -> None:
    turning.policy(trigger={"comparisons": None, "hours": 5})
    loop.tick()
    assert not LoopStep.objects.exists()

    LoopPolicy.objects.update(changed_at=NOON)
    loop.tick()
    step = turning.last
    assert "have passed, with 18 new comparisons" in step.cause
    turning.advanced()
    turning.built()
    loop.cancel(step_id=step.pk, actor_id=turning.ada.pk)
    LoopStep.objects.update(created_at=NOON)
    loop.tick()
    assert LoopStep.objects.count() == 1  # nothing is new

    rank_three_more(turning)
    loop.tick()
    assert LoopStep.objects.count() == 2


def test_held_out_and_withdrawn_rankings_do_not_count(turning: Turning) -> None:
    turning.policy()
    policy = LoopPolicy.objects.get()
    held_out = turning.start_round(PromptFilter(split="held_out"))
    turning.rank(held_out, 2)
    assert Comparison.objects.count() == 30
    settings = read(policy.settings)
    assert next_of(policy, settings).comparisons == 18
    turning.round.rankings.filter(task__position=0).update(current=False)
    assert next_of(policy, settings).comparisons == 12


def test_it_rests_while_it_is_off_or_its_owner_has_left(turning: Turning) -> None:
    turning.policy(active=False)
    loop.tick()
    turning.policy(active=True)
    Membership.objects.filter(user=turning.ada).update(role=Role.VIEWER)
    loop.tick()
    assert not LoopStep.objects.exists()
    text = reads.overview(turning.project.pk)["next"]["text"]
    assert text.startswith("ada, for whom the loop acted, does not administer this project")


def test_one_project_s_broken_policy_does_not_stop_the_others(turning: Turning) -> None:
    other = create_project(actor_id=turning.ada.pk, slug="other", name="Other")
    LoopPolicy.objects.create(project=other, active=True, settings={"x": 1}, owner=turning.ada)
    turning.policy()
    loop.tick()
    assert turning.last.project == turning.project
    assert LoopStep.objects.count() == 1


def test_a_round_that_is_open_stays_open(turning: Turning) -> None:
    """The loop closes no round of people's, and deletes nothing."""
    turning.policy()
    loop.tick()
    turning.advanced()
    assert Round.objects.get(pk=turning.round.pk).open
