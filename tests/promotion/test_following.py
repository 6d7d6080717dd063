"""Rounds follow the project's model, and a policy decides about what the former one wrote."""

import asyncio

import pytest
from django.db import connection, transaction
from rest_framework.test import APIClient

from annotate.errors import Invalid
from annotate.models import (
    AuditEvent,
    Claim,
    Completion,
    Draft,
    Project,
    Ranking,
    Round,
    RoundState,
    Slot,
    Stale,
    Task,
    User,
)
from annotate.queries.prompts import PromptFilter
from annotate.services import claims, drafts, generation, rounds
from annotate.services.rounds import Source
from annotate.services.stale import follow
from inference.errors import NoReplica
from inference.models import ModelAlias, ServedModel
from tests import cast
from tests.annotate.scripted import Asked, Scripted, serve, write
from tests.faults.people import judgment
from tests.promotion.conftest import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def old(tone: Project) -> ServedModel:
    """What the project's model is at first."""
    model = cast.served_model("the-base")
    serve(model)
    return model


@pytest.fixture
def new(old: ServedModel) -> ServedModel:
    return ServedModel.objects.create(name="the-base@new", kind="adapter", parent="the-base")


@pytest.fixture
def round_(tone: Project, ada: User, old: ServedModel) -> Round:
    """Three tasks that the old model wrote."""
    cast.add_prompts(tone, 3)
    made = start(tone, ada, Source(follows=True))
    return write(made, Scripted())


def start(project: Project, ada: User, *sources: Source, k: int = 2) -> Round:
    made = rounds.create_round(
        project_id=project.pk,
        actor_id=ada.pk,
        prompts=PromptFilter(),
        k=k,
        overlap=1,
        sources=sources,
    )
    return rounds.start_round(round_id=made.pk, actor_id=ada.pk)


def promoted(model: ServedModel, project: Project, stale: Stale) -> int:
    return follow(project_id=project.pk, served_model_id=model.pk, stale=stale, actor_id=None)


def writers(round_: Round) -> list[str]:
    """Who wrote each task, by position."""
    return [
        "+".join(sorted({each.model_name for each in task.completions.all()}))
        for task in round_.tasks.order_by("position").prefetch_related("completions")
    ]


# --- which model ----------------------------------------------------------------------------


def test_the_current_model_comes_first_and_is_the_default(
    tone: Project, ada: User, old: ServedModel
) -> None:
    client = cast.signed_in(ada)
    current, base = client.get("/api/projects/tone/models").json()["results"]
    assert (current["kind"], current["name"]) == ("current", "tone/current")
    assert (current["means"], current["available"]) == ("the-base", True)
    assert (base["id"], base["kind"], base["means"]) == (current["id"], "base", "")
    cast.add_prompts(tone, 1)
    source = posted(client, {"sources": [{"follows": True}]})["sources"][0]
    assert (source["follows"], source["served_model"], source["name"]) == (True, old.pk, "the-base")
    source = posted(client, {"sources": [{"served_model": old.pk}]})["sources"][0]
    assert (source["follows"], source["served_model"]) == (False, old.pk)


def posted(client: APIClient, body: dict[str, object]) -> dict[str, list[dict[str, object]]]:
    response = client.post("/api/projects/tone/rounds", body, format="json")
    assert response.status_code == 201, response.content
    found: dict[str, list[dict[str, object]]] = response.json()
    return found


def test_a_source_names_a_model_or_follows(tone: Project, ada: User, old: ServedModel) -> None:
    cast.add_prompts(tone, 1)
    body = {"sources": [{"weight": 2}]}
    response = cast.signed_in(ada).post("/api/projects/tone/rounds", body, format="json")
    assert (response.status_code, list(response.json()["error"]["fields"])) == (400, ["sources"])


def test_before_any_model_is_known_there_is_nothing_to_follow(tone: Project, ada: User) -> None:
    cast.add_prompts(tone, 1)
    with pytest.raises(Invalid, match="No inference server has named a model yet"):
        start(tone, ada, Source(follows=True))


def test_a_draft_takes_the_model_of_the_moment_it_starts(
    tone: Project, ada: User, old: ServedModel
) -> None:
    cast.add_prompts(tone, 1)
    draft = rounds.create_round(
        project_id=tone.pk,
        actor_id=ada.pk,
        prompts=PromptFilter(),
        k=2,
        overlap=1,
        sources=[Source(follows=True), Source(old.pk)],
    )
    other = cast.served_model("another-base")
    ModelAlias.objects.create(name="tone/current", base="another-base")
    rounds.start_round(round_id=draft.pk, actor_id=ada.pk)
    assert [source.served_model for source in draft.sources.all()] == [other, old]


# --- what a promotion does -------------------------------------------------------------------


def test_kept_tasks_stay_and_the_rest_is_written_by_the_new_model(
    tone: Project, ada: User, old: ServedModel, new: ServedModel, round_: Round
) -> None:
    Slot.objects.filter(position=2).delete()
    Task.objects.filter(position=2).update(state="pending")
    Completion.objects.filter(task__position=2, number=1).delete()
    Round.objects.update(state="generating")
    assert promoted(new, tone, Stale.KEEP) == 0
    write(round_, Scripted())
    assert writers(round_) == ["the-base", "the-base", "the-base+the-base@new"]
    assert not Task.objects.filter(stale=True).exists()


def test_sources_that_name_a_model_are_left_alone(
    tone: Project, ada: User, old: ServedModel, new: ServedModel
) -> None:
    cast.add_prompts(tone, 2)
    fixed = write(start(tone, ada, Source(old.pk)), Scripted())
    assert promoted(new, tone, Stale.REGENERATE) == 0
    assert writers(fixed) == ["the-base", "the-base"]
    assert fixed.sources.get().served_model == old


def test_marked_tasks_come_last(
    tone: Project, ada: User, lena: User, new: ServedModel, round_: Round
) -> None:
    Task.objects.filter(position=2).update(state="pending")
    Slot.objects.filter(position=2).delete()
    Completion.objects.filter(task__position=2).delete()
    held = cast.claim(lena, tone)
    assert promoted(new, tone, Stale.MARK) == 1  # one is in hand, one is still to be written
    assert list(Task.objects.filter(stale=True).values_list("position", flat=True)) == [1]
    Round.objects.update(state="generating")
    write(round_, Scripted())
    second = cast.claim(lena, tone, have=[held.claim_id])
    third = cast.claim(lena, tone, have=[held.claim_id, second.claim_id])
    positions = [Claim.objects.get(pk=one.claim_id).task.position for one in (held, second, third)]
    assert positions == [0, 2, 1]
    monitor = cast.signed_in(ada).get("/api/projects/tone/rounds/1").json()
    assert monitor["generation"]["stale"] == 1


def test_going_back_makes_fresh_what_the_former_model_wrote(
    tone: Project, old: ServedModel, new: ServedModel, round_: Round
) -> None:
    assert promoted(new, tone, Stale.MARK) == 3
    assert promoted(old, tone, Stale.MARK) == 0
    assert not Slot.objects.filter(stale=True).exists()
    assert not Task.objects.filter(stale=True).exists()


def test_regenerated_tasks_are_written_anew_where_nobody_had_them_in_hand(
    tone: Project, ada: User, lena: User, new: ServedModel, round_: Round
) -> None:
    given_back = cast.claim(lena, tone)
    order = Claim.objects.get(pk=given_back.claim_id).order
    drafts.save_draft(claim_id=given_back.claim_id, labeler_id=lena.pk, body={}, size=2)
    claims.release(claim_id=given_back.claim_id, labeler_id=lena.pk)
    assert promoted(new, tone, Stale.REGENERATE) == 3  # two anew, one marked
    round_.refresh_from_db()
    assert round_.state == RoundState.GENERATING
    write(round_, Scripted())
    assert writers(round_) == ["the-base", "the-base@new", "the-base@new"]
    assert round_.state == RoundState.LABELING
    assert list(Task.objects.filter(stale=True).values_list("position", flat=True)) == [0]
    assert Completion.objects.filter(pk__in=order).count() == len(order)
    assert Draft.objects.count() == 1
    event = AuditEvent.objects.get(verb="followed the model")
    assert (event.detail["marked"], event.detail["written_anew"]) == (1, 2)


def test_no_ranking_is_lost(tone: Project, lena: User, new: ServedModel, round_: Round) -> None:
    held = cast.claim(lena, tone)
    client = cast.signed_in(lena)
    claim = {"responses": [{"label": "A"}, {"label": "B"}]}
    address = f"/api/claims/{held.claim_id}/ranking"
    assert client.post(address, judgment(claim), format="json").status_code == 201
    late = cast.claim(lena, tone)
    claims.release(claim_id=late.claim_id, labeler_id=lena.pk)
    promoted(new, tone, Stale.REGENERATE)
    address = f"/api/claims/{late.claim_id}/ranking"
    assert client.post(address, judgment(claim), format="json").status_code == 201
    assert Ranking.objects.count() == 2
    write(round_, Scripted())
    assert writers(round_) == ["the-base", "the-base", "the-base@new"]


def test_a_labeler_who_is_just_taking_a_task_is_first(
    tone: Project, new: ServedModel, round_: Round
) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM annotate_slot WHERE position = 0 FOR UPDATE")
        count = elsewhere(promoted, new, tone, Stale.REGENERATE)
    assert count == 2
    assert sorted(Task.objects.filter(state="pending").values_list("position", flat=True)) == [1, 2]


# --- the writer, in the middle of it -----------------------------------------------------------


def test_what_the_former_model_answers_after_the_promotion_is_not_kept(
    tone: Project, ada: User, new: ServedModel
) -> None:
    cast.add_prompts(tone, 2)
    made = start(tone, ada, Source(follows=True))

    async def promote_meanwhile(asked: Asked) -> None:
        await asyncio.to_thread(elsewhere, promoted, new, tone, Stale.KEEP)

    model = Scripted(promote_meanwhile)
    write(made, model)
    assert writers(made) == ["the-base@new", "the-base@new"]
    assert {asked.model for asked in model.asked} == {"the-base", "the-base@new"}


def test_a_task_that_waits_for_a_model_that_is_gone_is_given_to_the_new_one(
    tone: Project, ada: User, new: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "FIRST_PAUSE_S", 0.01)
    cast.add_prompts(tone, 1)
    made = start(tone, ada, Source(follows=True))

    async def gone(asked: Asked) -> None:
        if asked.model == "the-base":
            await asyncio.to_thread(elsewhere, promoted, new, tone, Stale.KEEP)
            raise NoReplica(asked.model)

    write(made, Scripted(gone))
    assert writers(made) == ["the-base@new"]
