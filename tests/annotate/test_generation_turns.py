"""Whose turn it is to be written: by what each project has in the making."""

from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from annotate.models import Project, Round, RoundState, TaskState, User
from annotate.services.generation_turns import gives_way, lock, share_of, waiting_rounds
from annotate.services.projects import create_project
from tests import cast
from tests.annotate.conftest import NewRound

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_locks_left() -> Iterator[None]:
    """They are the connection's, and outlive what a test writes."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")


@pytest.fixture
def other(ada: User) -> Project:
    project = create_project(actor_id=ada.pk, slug="other", name="Other")
    cast.add_prompts(project, 3)
    return project


def test_places_go_to_the_project_with_the_fewest(
    new_round: NewRound, other: Project, ada: User
) -> None:
    first, second, third = new_round(), new_round(), new_round()
    mine = cast.make_round(other, ada)
    assert waiting_rounds() == [first.pk, mine.pk, second.pk, third.pk]
    assert lock(first.pk)
    assert waiting_rounds() == [mine.pk, second.pk, third.pk]
    assert waiting_rounds(count=1, but=[mine.pk]) == [second.pk]


def test_a_round_that_is_written_far_enough_takes_no_place(
    new_round: NewRound, other: Project, ada: User, settings: Settings
) -> None:
    cast.write_completions(full := new_round(prompts=4))
    Round.objects.filter(pk=full.pk).update(state=RoundState.GENERATING)
    full.tasks.filter(position=3).update(state=TaskState.PENDING)
    mine = cast.make_round(other, ada)
    assert waiting_rounds() == [full.pk, mine.pk]
    settings.GENERATION_AHEAD, settings.GENERATION_AHEAD_EACH = 3, 1
    assert waiting_rounds() == [mine.pk]


def test_what_is_asked_at_once_is_shared_by_project_then_by_round(
    new_round: NewRound, other: Project, ada: User
) -> None:
    rounds_ = [new_round(), new_round(), new_round()]
    mine = cast.make_round(other, ada)
    assert share_of(mine.pk).alone
    for round_ in (*rounds_, mine):
        assert lock(round_.pk)
    assert (share_of(mine.pk).of(24), share_of(rounds_[0].pk).of(24)) == (12, 4)


def test_the_newest_round_of_who_has_most_gives_way(
    new_round: NewRound, other: Project, ada: User
) -> None:
    first, second = new_round(), new_round()
    assert lock(first.pk)
    assert lock(second.pk)
    assert [gives_way(round_.pk) for round_ in (first, second)] == ["no", "no"]
    new_round()  # another one of the same project waits for its own
    assert gives_way(second.pk) == "no"
    cast.make_round(other, ada)
    assert [gives_way(round_.pk) for round_ in (first, second)] == ["no", "now"]


def test_with_one_each_they_take_turns(new_round: NewRound, other: Project, ada: User) -> None:
    only = new_round()
    assert lock(only.pk)
    mine = cast.make_round(other, ada)
    assert gives_way(only.pk) == "in turn"
    assert lock(mine.pk)
    cast.make_round(other, ada)
    assert (gives_way(only.pk), gives_way(mine.pk)) == ("no", "no")
