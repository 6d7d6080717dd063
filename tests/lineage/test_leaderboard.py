"""Who is best liked: what counts, who is who, what is shown when nothing was compared."""

import pytest
from django.core.cache import cache
from pytest_django import DjangoAssertNumQueries

from annotate.models import Project, Round, User
from annotate.services.rankings import undo_ranking
from annotate.services.retractions import retract_labeler
from tests import cast
from tests.lineage.conftest import BASE, Train, answered_by, serve
from tests.snapshots.conftest import Make, Rank
from training.queries.leaderboard import leaderboard

ADDRESS = "/api/projects/tone/leaderboard"


@pytest.fixture
def contest(
    tone: Project, ada: User, lena: User, round_one: Round, rank: Rank, make: Make, train: Train
) -> Round:
    """A round of answers 0 and 2 by the base, 1 and 3 by the adapter."""
    rank(lena)
    adapter = train(make())
    Round.objects.filter(pk=round_one.pk).update(paused=True)
    return answered_by(tone, ada, cast.served_model(), serve(adapter))


def test_nothing_was_compared(ada: User, tone: Project) -> None:
    body = cast.signed_in(ada).get(ADDRESS).json()
    assert (body["models"], body["comparisons"], body["tasks"]) == ([], 0, 0)
    assert body["method"].startswith("Bradley-Terry")


def test_answers_of_one_model_are_not_compared(
    tone: Project, lena: User, round_one: Round, rank: Rank
) -> None:
    rank(lena)
    assert leaderboard(tone.pk)["models"] == []


def test_only_pairs_of_different_models_count(
    ada: User, tone: Project, contest: Round, lena: User, rank: Rank
) -> None:
    rank(lena, [1], [0, 3], [2])
    body = cast.signed_in(ada).get(ADDRESS).json()
    # 1 over 0 and 2, 3 over 2, and 3 as good as 0; not 1 over 3, nor 0 over 2.
    assert (body["comparisons"], body["tasks"], body["left_out"]) == (4, 1, 0)
    adapter, base = body["models"]
    assert (adapter["wins"], adapter["ties"], adapter["losses"]) == (3, 1, 0)
    assert (base["wins"], base["ties"], base["losses"]) == (0, 1, 3)
    assert base["model"] == BASE
    assert (base["anchor"], base["rating"], base["low"], base["high"]) == (True, 1000, 1000, 1000)
    assert (base["adapter"], base["adapter_hash"]) == (None, "")
    assert adapter["low"] < adapter["rating"] < adapter["high"]
    assert (adapter["adapter"], adapter["anchor"], adapter["comparisons"]) == (1, False, 4)
    assert adapter["model"] == f"{BASE}@{adapter['adapter_hash'][:16]}"


def test_the_same_answer_of_two_models_is_a_tie(
    tone: Project, ada: User, contest: Round, lena: User, rank: Rank
) -> None:
    models = [source.served_model for source in contest.sources.order_by("pk")]
    Round.objects.filter(pk=contest.pk).update(paused=True)
    answered_by(tone, ada, *models, k=2, text="Yes.")
    rank(lena, [1], [0])

    figures = {row["model"]: row for row in leaderboard(tone.pk)["models"]}
    assert {(row["wins"], row["ties"], row["losses"]) for row in figures.values()} == {(0, 1, 0)}


def test_it_is_computed_anew_only_when_something_was_said(
    tone: Project,
    ada: User,
    contest: Round,
    lena: User,
    luis: User,
    rank: Rank,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    said = rank(lena, [1], [3], [0], [2])
    before = leaderboard(tone.pk)
    with django_assert_num_queries(2):
        assert leaderboard(tone.pk) == before
    rank(luis, [0], [2], [1], [3])
    after = leaderboard(tone.pk)
    assert (before["comparisons"], after["comparisons"]) == (4, 8)
    undo_ranking(ranking_id=said.pk, labeler_id=lena.pk)
    assert leaderboard(tone.pk)["models"][0]["model"] == BASE
    retract_labeler(project_id=tone.pk, actor_id=ada.pk, labeler_id=luis.pk, reason="Guessed.")
    assert leaderboard(tone.pk)["models"] == []


def test_those_compared_least_are_left_out_when_there_are_too_many(
    tone: Project, contest: Round, lena: User, rank: Rank, monkeypatch: pytest.MonkeyPatch
) -> None:
    rank(lena)
    monkeypatch.setattr("training.queries.leaderboard.MOST_MODELS", 1)
    cache.clear()
    found = leaderboard(tone.pk)
    assert (len(found["models"]), found["left_out"], found["comparisons"]) == (1, 1, 0)
