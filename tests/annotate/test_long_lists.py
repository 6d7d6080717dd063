"""PostgreSQL takes 65,535 parameters with a statement; no list of ids is too long for Prefloop."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model, prefetch_related_objects
from django.test.utils import CaptureQueriesContext

from annotate.environment import CHECKOUT
from annotate.models import (
    Claim,
    Completion,
    Project,
    Prompt,
    Round,
    Slot,
    Stale,
    Task,
    User,
)
from annotate.postgres.compiler import LONG
from annotate.services.projects import create_project
from annotate.services.rounds import Source
from annotate.services.stale import follow
from inference.models import ServedModel
from tests import cast
from tests.promotion.test_following import start

pytestmark = pytest.mark.django_db
MANY = 65_536 + 100
RAW = re.compile(r"\bIN \(?%s", re.IGNORECASE)


@pytest.fixture
def ada(db: None) -> User:
    return cast.person("ada")


@pytest.fixture
def tone(ada: User) -> Project:
    return create_project(actor_id=ada.pk, slug="tone", name="Tone")


@pytest.fixture
def written(tone: Project, ada: User) -> Round:
    """A round that follows the model, with more tasks than a statement has parameters."""
    cast.served_model("the-base")
    cast.add_prompts(tone, 1)
    made = start(tone, ada, Source(follows=True))
    cast.write_completions(made)
    fill(made)
    return made


def fill(round_: Round) -> None:
    """Copies of its one task, each of a prompt of its own."""
    task = round_.tasks.get()
    copy(task.prompt, external_id="'p' || n", content_hash="md5('x' || n)")
    of_prompt = numbered(Prompt, "row_number() OVER (ORDER BY id)", but=task.prompt_id)
    copy(task, position="n", prompt_id=f"(SELECT id FROM {of_prompt} p WHERE p.at = n)")  # noqa: S608
    of_task = numbered(Task, "position", but=task.pk)
    this = f"(SELECT id FROM {of_task} t WHERE t.at = n)"  # noqa: S608
    copy(task.slots.get(), position="n", task_id=this)
    copy(task.completions.earliest("pk"), task_id=this)
    # As autovacuum does once so many rows have come; the plans for a handful of them take minutes.
    with connection.cursor() as cursor:
        for made in (Prompt, Task, Slot, Completion):
            cursor.execute(f"ANALYZE {made._meta.db_table}")


def copy(row: Any, **instead: str) -> None:
    """As many rows like this one but for these columns; n: counts them from 1."""
    fields = [each for each in row._meta.local_fields if not each.generated]
    kept = [each.column for each in fields if each.column not in {"id", *instead}]
    table, columns, values = row._meta.db_table, [*kept, *instead], [*kept, *instead.values()]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)}"  # noqa: S608
            f" FROM {table}, generate_series(1, {MANY}) AS g(n) WHERE id = {row.pk}"
        )


def numbered(model: type[Model], number: str, *, but: int) -> str:
    """The name of a table that finds such a row by its number."""
    table, name = model._meta.db_table, f"numbered_{model._meta.model_name}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMP TABLE {name} ON COMMIT DROP AS"  # noqa: S608
            f" SELECT id, {number} AS at FROM {table} WHERE id <> {but}"
        )
        cursor.execute(f"CREATE INDEX ON {name} (at)")
        cursor.execute(f"ANALYZE {name}")
    return name


@pytest.mark.parametrize("stale", [Stale.MARK, Stale.REGENERATE])
def test_a_round_of_any_size_follows_the_model(written: Round, tone: Project, stale: Stale) -> None:
    new = ServedModel.objects.create(name="the-base@new", kind="adapter", parent="the-base")
    found = follow(project_id=tone.pk, served_model_id=new.pk, stale=stale, actor_id=None)
    assert found == MANY + 1
    tasks = Task.objects.filter(round=written)
    concerned = tasks.filter(stale=True) if stale == Stale.MARK else tasks.filter(state="pending")
    assert concerned.count() == MANY + 1


def test_every_way_to_name_many_rows(tone: Project) -> None:
    """Few of which exist: what counts is how many are named."""
    prompt, second = cast.add_prompts(tone, 2)
    keys = [*range(prompt.pk + 2, prompt.pk + MANY), prompt.pk]
    hashes = [*map(str, keys), prompt.content_hash]
    assert Prompt.objects.get(pk__in=keys) == prompt
    assert Prompt.objects.get(pk__in=[*keys, None]) == prompt
    assert Prompt.objects.get(content_hash__in=hashes) == prompt
    assert Prompt.objects.exclude(pk__in=set(keys)).get() == second
    assert Prompt.objects.in_bulk(keys) == {prompt.pk: prompt}
    rows = [Prompt(pk=key, project_id=key) for key in keys]
    assert not Task.objects.filter(prompt__in=rows).exists()
    prefetch_related_objects(rows, "project", "tasks")
    assert Prompt.objects.filter(pk__in=keys).update(tags=["many"]) == 1
    deleted, _ = Prompt.objects.filter(pk__in=keys).delete()
    assert (deleted, Prompt.objects.get()) == (1, second)


def test_many_rows_are_made(tone: Project) -> None:
    """Each column of each is a parameter."""
    prompt = cast.add_prompts(tone, 1)[0]
    columns = [each.attname for each in Prompt._meta.local_fields if not each.generated]
    values = {name: getattr(prompt, name) for name in columns if name != "id"}
    enough = MANY // len(values)
    Prompt.objects.bulk_create(
        Prompt(**{**values, "external_id": f"p{n}", "content_hash": f"{n:064x}"})
        for n in range(enough)
    )
    assert Prompt.objects.count() == enough + 1


@pytest.mark.parametrize(("length", "sign"), [(LONG, " IN ("), (LONG + 1, " = ANY(")])
def test_short_lists_are_written_as_ever(length: int, sign: str, tone: Project) -> None:
    with CaptureQueriesContext(connection) as said:
        list(Claim.objects.filter(pk__in=range(length)))
    assert sign in said[0]["sql"]


@pytest.mark.parametrize("app", ["annotate", "training", "inference"])
def test_no_statement_by_hand_has_a_list(app: str) -> None:
    """Those that Django writes are cared for; in SQL by hand a list is `= ANY(%s)`."""
    for file in sorted((CHECKOUT / app).rglob("*.py")):
        for text in literals(file):
            assert not RAW.search(text), f"{file}: {text}"


def literals(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
