"""What must never be, the database itself refuses, whatever the code above it does."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from annotate.models import (
    Claim,
    Comparison,
    Completion,
    Demonstration,
    Draft,
    Membership,
    Project,
    Prompt,
    Ranking,
    Role,
    Round,
    RoundSource,
    Task,
    User,
)
from annotate.services.rankings import Said, submit_ranking
from inference.models import ServedModel, Serving
from tests import cast
from tests.annotate.conftest import NewRound
from tests.annotate.scripted import serve


@pytest.fixture
def lena(tone: Project) -> User:
    return cast.member(tone, "lena", Role.LABELER)


@pytest.fixture
def luis(tone: Project) -> User:
    return cast.member(tone, "luis", Role.LABELER)


@pytest.fixture
def task(new_round: NewRound) -> Task:
    """One task of K=4 with three places."""
    round_ = new_round(prompts=1, overlap=3)
    cast.write_completions(round_)
    return round_.tasks.get()


@pytest.fixture
def held(task: Task, lena: User, tone: Project) -> Claim:
    return Claim.objects.get(pk=cast.claim(lena, tone).claim_id)


@pytest.fixture
def ranked(task: Task, lena: User, tone: Project) -> Ranking:
    claim = cast.claim(lena, tone)
    said = Said(tiers=[["A"], ["B"], ["C"], ["D"]], demonstration="Better.")
    submit_ranking(claim_id=claim.claim_id, labeler_id=lena.pk, key=uuid4(), said=said)
    return Ranking.objects.get()


def twin(row: models.Model, **changes: Any) -> None:
    """A second row like it, but for the changes."""
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    values |= {"id": None, **changes}
    values = {name: value for name, value in values.items() if name != "search"}
    type(row)._default_manager.create(**values)


def assert_refused(constraint: str, row: models.Model, **changes: Any) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        twin(row, **changes)


def assert_change_refused(constraint: str, row: models.Model, **changes: Any) -> None:
    rows = type(row)._default_manager.filter(pk=row.pk)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        rows.update(**changes)


# --- places, claims, rankings ---------------------------------------------------------------


def test_a_task_has_no_place_twice(task: Task) -> None:
    assert task.slots.count() == 3
    for slot in task.slots.all():
        assert_refused("slot_number_in_task", slot)


def test_a_place_beyond_what_is_required(task: Task) -> None:
    """A fourth place of a task that needs three."""
    last = task.slots.latest("number")
    assert_refused("slot_within_required", last, number=3)
    assert_change_refused("slot_within_required", last, number=3)


def test_a_claim_holds_one_place_only(held: Claim, task: Task) -> None:
    free = task.slots.filter(claim=None).first()
    assert free is not None
    later = timezone.now() + timedelta(hours=1)
    assert_change_refused("claim_id", free, claim=held, lease_until=later)


def test_a_ranking_fills_one_place_only(ranked: Ranking, task: Task) -> None:
    free = task.slots.filter(ranking=None).first()
    assert free is not None
    assert_change_refused("ranking_id", free, ranking=ranked)


def test_a_place_is_held_until_a_time(held: Claim) -> None:
    assert_change_refused("slot_held_until_a_time", held.slot, lease_until=None)


@pytest.mark.parametrize("state", ["live", "ranked", "skipped", "flagged"])
def test_a_labeler_has_a_task_once(held: Claim, state: str) -> None:
    changes = {"state": state, "ended_at": timezone.now()}
    assert_refused("one_claim_per_task_and_labeler", held, **changes)


@pytest.mark.parametrize("state", ["released", "expired"])
def test_what_was_given_back_may_be_taken_again(held: Claim, state: str) -> None:
    twin(held, state=state, ended_at=timezone.now())


def test_a_claim_in_no_known_state(held: Claim) -> None:
    assert_change_refused("claim_state_known", held, state="lost", ended_at=timezone.now())
    assert_change_refused("claim_ended_at_a_time", held, state="released")


def test_a_key_is_used_once(ranked: Ranking) -> None:
    assert_refused("one_ranking_per_idempotency_key", ranked, current=False)


def test_one_current_ranking_for_each_labeler(ranked: Ranking) -> None:
    assert_refused("one_current_ranking_per_labeler", ranked, key=uuid4())
    twin(ranked, key=uuid4(), current=False)


def test_a_ranking_is_superseded_once(ranked: Ranking) -> None:
    twin(ranked, key=uuid4(), current=False, supersedes_id=ranked.pk)
    changes = {"key": uuid4(), "current": False, "supersedes_id": ranked.pk}
    assert_refused("supersedes_id", ranked, **changes)


def test_a_withdrawn_ranking_does_not_count(ranked: Ranking) -> None:
    changes = {"withdrawn_at": timezone.now()}
    assert_change_refused("withdrawn_ranking_is_not_current", ranked, **changes)


def test_comparisons(ranked: Ranking) -> None:
    pair = Comparison.objects.filter(ranking=ranked).first()
    assert pair is not None
    assert_refused("pair_once_per_ranking", pair)
    assert_refused("comparison_of_two_completions", pair, loser_id=pair.winner_id)
    assert_change_refused("comparison_strength_in_range", pair, strength=4)


def test_one_demonstration_a_ranking(ranked: Ranking) -> None:
    said = Demonstration.objects.get()
    assert_refused("ranking_id", said)
    twin(ranked, key=uuid4(), current=False)
    other = Ranking.objects.latest("pk").pk
    assert_refused("demonstration_is_not_empty", said, ranking_id=other, text="")


def test_one_draft_for_each_labeler(held: Claim, lena: User) -> None:
    draft = Draft.objects.create(task=held.task, labeler=lena, body={}, saved_at=timezone.now())
    assert_refused("one_draft_per_labeler", draft)


# --- what a round is made of ----------------------------------------------------------------


def test_a_completion_has_its_own_place(task: Task) -> None:
    for completion in Completion.objects.filter(task=task):
        assert_refused("completion_number_in_task", completion)


def test_a_prompt_is_in_a_round_once(task: Task) -> None:
    assert_refused("prompt_once_per_round", task, position=99)
    cast.add_prompts(task.round.project, 3)
    another = Prompt.objects.exclude(pk=task.prompt_id).earliest("pk")
    assert_refused("position_once_per_round", task, prompt_id=another.pk)
    assert_change_refused("task_state_known", task, state="lost")


def test_a_prompt_is_in_a_project_once(task: Task) -> None:
    assert_refused("prompt_once_per_project", task.prompt)
    assert_change_refused("prompt_split_known", task.prompt, split="test")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("round_number_in_project", {}),
        ("round_k_between_2_and_9", {"number": 9, "k": 10}),
        ("round_k_between_2_and_9", {"number": 9, "k": 1}),
        ("round_overlap_in_range", {"number": 9, "overlap": 0}),
        ("round_state_known", {"number": 9, "state": "lost"}),
        ("round_started_when_it_left_draft", {"number": 9, "started_at": None}),
        ("round_closed_after_created", {"number": 9, "closed_at": timezone.now() - timedelta(9)}),
    ],
)
def test_rounds(task: Task, name: str, changes: dict[str, Any]) -> None:
    assert_refused(name, Round.objects.get(), **changes)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("source_weight", {"weight": 0}),
        ("source_weight", {"weight": 101}),
        ("source_temperature", {"temperature": -0.1}),
        ("source_temperature", {"temperature": float("nan")}),
        ("source_top_p", {"top_p": 0.0}),
        ("source_top_p", {"top_p": 1.01}),
        ("source_max_tokens", {"max_tokens": 0}),
    ],
)
def test_sources(task: Task, name: str, changes: dict[str, Any]) -> None:
    assert_refused(name, RoundSource.objects.get(), **changes)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("slug", {}),
        ("project_k_between_2_and_9", {"slug": "other", "k_default": 10}),
        ("project_overlap_in_range", {"slug": "other", "overlap": 26}),
        ("project_lease_in_range", {"slug": "other", "lease_seconds": 29}),
    ],
)
def test_projects(tone: Project, name: str, changes: dict[str, Any]) -> None:
    assert_refused(name, tone, **changes)


def test_members(tone: Project, lena: User) -> None:
    membership = Membership.objects.get(user=lena)
    assert_refused("one_membership_per_person", membership)
    assert_change_refused("membership_role_known", membership, role="king")


def test_what_is_served(db: None) -> None:
    model = cast.served_model()
    serve(model)
    serving = Serving.objects.get()
    assert_refused("one_serving_per_replica", serving)
    assert_change_refused("serving_selftest_has_time_and_reason", serving, selftest="failed")
    assert_refused("name", model)
    assert_refused("served_model_named", model, name="")
    changes = {"name": "adapter", "kind": ServedModel.Kind.ADAPTER}
    assert_refused("served_model_adapters_have_parents", model, **changes)
