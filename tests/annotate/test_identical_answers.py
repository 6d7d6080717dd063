"""Comparisons from before identical answers were tied at the desk are derived anew."""

from importlib import import_module
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection

from annotate.models import Comparison, Project, Ranking, Role, User
from annotate.services.projects import create_project
from annotate.services.rankings import Said, submit_ranking
from tests import cast

migration = import_module("annotate.migrations.0005_identical_answers_tied")
Pairs = set[tuple[int, int, bool]]


@pytest.fixture
def tone(db: None) -> Project:
    ada = cast.person("ada")
    return create_project(actor_id=ada.pk, slug="tone", name="Tone")


@pytest.fixture
def lena(tone: Project) -> User:
    return cast.member(tone, "lena", Role.LABELER)


def ranked(tone: Project, lena: User, texts: list[str], cut_off: set[int]) -> Ranking:
    """By number: 0 > 1 > 2."""
    ada = User.objects.get(username="ada")
    cast.add_prompts(tone, 1)
    round_ = cast.make_round(tone, ada, k=3)
    cast.write_completions(round_, texts, cut_off)
    claim = cast.claim(lena, tone)
    task = round_.tasks.get()
    order = list(task.claims.get().order)
    tiers = [["ABC"[order.index(each.pk)]] for each in task.completions.order_by("number")]
    submit_ranking(claim_id=claim.claim_id, labeler_id=lena.pk, key=uuid4(), said=Said(tiers=tiers))
    return Ranking.objects.get(round=round_)


def pairs(ranking: Ranking) -> Pairs:
    return {
        (each.winner.number, each.loser.number, each.tie)
        for each in Comparison.objects.filter(ranking=ranking)
    }


def as_before(ranking: Ranking) -> None:
    """Every ranking implied a preference between any two tiers."""
    Comparison.objects.filter(ranking=ranking).delete()
    keys = [key for (key,) in ranking.tiers]
    Comparison.objects.bulk_create(
        Comparison(
            ranking=ranking,
            winner_id=keys[one],
            loser_id=keys[other],
            tie=False,
            winner_unacceptable=False,
            loser_unacceptable=False,
        )
        for one in range(3)
        for other in range(one + 1, 3)
    )


@pytest.mark.parametrize("blank", ["", " \n", "\x1f\u2003\u3000"])
def test_what_was_ordered_before_is_tied(tone: Project, lena: User, blank: str) -> None:
    ranking = ranked(tone, lena, ["Yes.", "No.", "Yes." + blank], set())
    as_before(ranking)

    migration.tie_identical(apps, connection.schema_editor())

    assert pairs(ranking) == {(0, 2, True), (0, 1, False), (2, 1, False)}
    ranking.refresh_from_db()
    assert len(ranking.tiers) == 3


def test_other_rankings_keep_their_very_rows(tone: Project, lena: User) -> None:
    ranking = ranked(tone, lena, ["Yes.", "No.", "Yes."], {2})
    before = set(Comparison.objects.values_list("pk", flat=True))

    migration.tie_identical(apps, connection.schema_editor())

    assert set(Comparison.objects.values_list("pk", flat=True)) == before
    assert pairs(ranking) == {(0, 1, False), (0, 2, False), (1, 2, False)}
