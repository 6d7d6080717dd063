"""Taking back a labeler or a round: what counts no more, what stays, who is asked again."""

from typing import Any

import pytest

from annotate.errors import Conflict, Invalid, NotFound
from annotate.models import (
    AuditEvent,
    Claim,
    ClaimState,
    Comparison,
    Project,
    Ranking,
    Role,
    Round,
    User,
)
from annotate.services import retractions
from annotate.services.retractions import retract_labeler, retract_round
from annotate.services.rounds import close_round
from tests import cast
from tests.lineage.conftest import Train
from tests.snapshots.conftest import Make, Rank
from training.queries import snapshots

ADDRESS = "/api/projects/tone/retractions"


def test_a_labelers_rankings_count_no_more_and_stay(
    tone: Project, ada: User, lena: User, luis: User, round_one: Round, rank: Rank, make: Make
) -> None:
    theirs, kept = [rank(lena), rank(lena)], rank(luis)
    snapshot = make()
    assert retract_labeler(
        project_id=tone.pk, actor_id=ada.pk, labeler_id=lena.pk, reason=" Guessed. "
    ) == len(theirs)
    for ranking in theirs:
        ranking.refresh_from_db()
        assert not ranking.current
        assert ranking.withdrawn_at is not None
    assert set(Comparison.objects.values_list("ranking", flat=True)) == {kept.pk}
    assert snapshots.changed_since(snapshot) == 2
    (event,) = AuditEvent.objects.filter(verb="retracted rankings")
    assert (event.object_type, event.object_id, event.actor) == ("user", str(lena.pk), ada)
    assert event.detail == {"rankings": 2, "reason": "Guessed."}


def test_their_places_are_for_others(
    tone: Project, ada: User, lena: User, luis: User, round_one: Round, rank: Rank
) -> None:
    done = [rank(lena) for _ in range(3)]
    retract_labeler(project_id=tone.pk, actor_id=ada.pk, labeler_id=lena.pk, reason="Guessed.")
    assert set(Claim.objects.filter(labeler=lena).values_list("state", flat=True)) == {
        ClaimState.RANKED
    }
    nina = cast.member(tone, "nina", Role.LABELER)
    again = [rank(who).task_id for who in (luis, nina) for _ in range(3)]
    assert sorted(again) == sorted(2 * [each.task_id for each in done])


def test_twice_is_the_same_as_once_and_a_later_ranking_counts(
    tone: Project, ada: User, lena: User, round_one: Round, rank: Rank
) -> None:
    rank(lena)
    keys: dict[str, Any] = {
        "project_id": tone.pk,
        "actor_id": ada.pk,
        "labeler_id": lena.pk,
        "reason": "Guessed.",
    }
    assert [retract_labeler(**keys), retract_labeler(**keys)] == [1, 0]
    rank(lena)
    assert Ranking.objects.filter(current=True).count() == 1


def test_many_are_taken_back_in_parts(
    tone: Project,
    ada: User,
    lena: User,
    round_one: Round,
    rank: Rank,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(3):
        rank(lena)
    monkeypatch.setattr(retractions, "AT_A_TIME", 2)
    found = retract_labeler(
        project_id=tone.pk, actor_id=ada.pk, labeler_id=lena.pk, reason="Guessed."
    )
    assert found == 3
    assert not Comparison.objects.exists()


def test_a_round_is_closed_first(
    tone: Project, ada: User, lena: User, luis: User, round_one: Round, rank: Rank
) -> None:
    rank(lena), rank(luis)
    keys: dict[str, Any] = {
        "project_id": tone.pk,
        "actor_id": ada.pk,
        "number": 1,
        "reason": "Wrong guidelines.",
    }
    with pytest.raises(Conflict, match="Close or cancel it first"):
        retract_round(**keys)
    close_round(round_id=round_one.pk, actor_id=ada.pk)
    assert retract_round(**keys) == 2
    assert not Ranking.objects.filter(current=True).exists()
    assert AuditEvent.objects.filter(verb="retracted rankings", object_type="round").exists()
    with pytest.raises(NotFound):
        retract_round(**{**keys, "number": 9})


def test_somebody_who_never_ranked_and_no_reason(tone: Project, ada: User, lena: User) -> None:
    keys: dict[str, Any] = {"project_id": tone.pk, "actor_id": ada.pk}
    with pytest.raises(NotFound):
        retract_labeler(labeler_id=lena.pk, reason="Guessed.", **keys)
    with pytest.raises(NotFound):
        retract_labeler(labeler_id=0, reason="Guessed.", **keys)


def test_over_http(
    tone: Project,
    ada: User,
    lena: User,
    round_one: Round,
    rank: Rank,
    make: Make,
    train: Train,
) -> None:
    rank(lena)
    train(make())
    client = cast.signed_in(ada)
    body = {"labeler": "lena", "reason": "Guessed."}
    assert cast.signed_in(lena).post(ADDRESS, body, format="json").status_code == 403
    response = client.post(ADDRESS, body, format="json")
    assert response.status_code == 201, response.content
    found = response.json()
    assert found["rankings"] == 1
    assert found["touched"]["rankings"] == 0
    assert found["touched"]["snapshots"] == [{"number": 1, "rankings": 1}]
    assert [each["number"] for each in found["touched"]["adapters"]] == [1]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "Guessed."}, "labeler"),
        ({"reason": "Guessed.", "labeler": "lena", "round": 1}, "labeler"),
        ({"reason": "Guessed.", "labeler": "mallory"}, "labeler"),
        ({"reason": "  ", "labeler": "lena"}, "reason"),
        ({"labeler": "lena"}, "reason"),
        ({"reason": "x" * 1001, "labeler": "lena"}, "reason"),
    ],
)
def test_it_refuses_with_the_field_at_fault(
    body: dict[str, Any], field: str, ada: User, lena: User, round_one: Round, rank: Rank
) -> None:
    rank(lena)
    response = cast.signed_in(ada).post(ADDRESS, body, format="json")
    assert response.status_code == 400
    assert field in response.json()["error"]["fields"]
    assert Ranking.objects.filter(current=True).exists()


def test_a_blank_reason_is_refused_by_the_service_too(
    tone: Project, ada: User, lena: User, round_one: Round, rank: Rank
) -> None:
    rank(lena)
    with pytest.raises(Invalid, match="Say why"):
        retract_labeler(project_id=tone.pk, actor_id=ada.pk, labeler_id=lena.pk, reason=" ")
