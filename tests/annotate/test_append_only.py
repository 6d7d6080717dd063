"""What was written, said or done stays as it was: the database itself refuses a change."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, models, transaction
from django.utils import timezone

from annotate.models import AuditEvent, Completion, Demonstration, Project, Ranking, Role, User
from annotate.services.rankings import Said, submit_ranking
from tests import cast

MAY_CHANGE: dict[type[models.Model], set[str]] = {
    Completion: set(),
    Ranking: {"current", "withdrawn_at"},
    AuditEvent: set(),
    Demonstration: set(),
}
PROTECTED = [
    (model, field.name)
    for model, mutable in MAY_CHANGE.items()
    for field in model._meta.concrete_fields
    if field.name not in mutable
]


@pytest.fixture
def said(tone: Project, ada: User) -> Ranking:
    lena = cast.member(tone, "lena", Role.LABELER)
    cast.add_prompts(tone, 2)
    cast.write_completions(cast.make_round(tone, ada))
    held = cast.claim(lena, tone)
    submit_ranking(
        claim_id=held.claim_id,
        labeler_id=lena.pk,
        key=uuid4(),
        said=Said(tiers=[["A"], ["B"], ["C"], ["D"]], demonstration="Better."),
    )
    return Ranking.objects.get()


def other(field: Any, value: Any) -> Any:
    """Another value of the same kind."""
    match field:
        case models.BooleanField():
            return not value
        case models.DateTimeField():
            return timezone.now()
        case models.UUIDField():
            return uuid4()
        case models.JSONField():
            return {"changed": True}
        case models.FloatField() | models.IntegerField() | models.ForeignKey():
            return (value or 0) + 1
        case models.CharField() | models.TextField():
            return "changed"
        case _:
            return [*value, "9"]


def named(value: Any) -> str:
    return str(getattr(value, "__name__", value))


@pytest.mark.parametrize(("model", "name"), PROTECTED, ids=named)
def test_a_change_is_refused(said: Ranking, model: type[models.Model], name: str) -> None:
    rows = model._default_manager.filter(pk=model._default_manager.latest("pk").pk)
    before = rows.values().get()
    field = model._meta.get_field(name)
    column = str(getattr(field, "attname", name))
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        rows.update(**{column: other(field, before[column])})
    assert rows.values().get() == before


def test_a_ranking_may_be_withdrawn(said: Ranking) -> None:
    said.current, said.withdrawn_at = False, timezone.now()
    said.save(update_fields=["current", "withdrawn_at"])


def test_a_change_that_changes_nothing_is_none(said: Ranking) -> None:
    said.save()


@pytest.mark.parametrize("model", list(MAY_CHANGE), ids=named)
def test_no_way_around_in_plain_sql(said: Ranking, model: type[models.Model]) -> None:
    table = model._meta.db_table
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE {table} SET id = id + 1000")  # noqa: S608  (our own table)
