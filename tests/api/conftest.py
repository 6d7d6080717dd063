"""The cast: Ada administers, Lena and Luis label, Rita reviews, Vera views, Mallory is not in."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from annotate.models import Project, Role, Round, User
from annotate.services.projects import create_project
from tests import cast
from tests.api import scene
from tests.api.scene import Scene


@pytest.fixture
def ada_user(db: None) -> User:
    return cast.person("ada")


@pytest.fixture
def project(ada_user: User) -> Project:
    return create_project(
        actor_id=ada_user.pk,
        slug="tone",
        name="Tone",
        tags=["too long", "wrong"],
        axes=[{"key": "helpful", "name": "Helpful", "min": 1, "max": 5}],
        strength=True,
    )


@pytest.fixture
def lena_user(project: Project) -> User:
    return cast.member(project, "lena", Role.LABELER)


@pytest.fixture
def luis_user(project: Project) -> User:
    return cast.member(project, "luis", Role.LABELER)


@pytest.fixture
def ada(ada_user: User) -> APIClient:
    return cast.signed_in(ada_user)


@pytest.fixture
def lena(lena_user: User) -> APIClient:
    return cast.signed_in(lena_user)


@pytest.fixture
def luis(luis_user: User) -> APIClient:
    return cast.signed_in(luis_user)


@pytest.fixture
def rita(project: Project) -> APIClient:
    return cast.signed_in(cast.member(project, "rita", Role.REVIEWER))


@pytest.fixture
def vera(project: Project) -> APIClient:
    return cast.signed_in(cast.member(project, "vera", Role.VIEWER))


@pytest.fixture
def mallory(db: None) -> APIClient:
    return cast.signed_in(cast.person("mallory"))


@pytest.fixture
def round_one(project: Project, ada_user: User) -> Round:
    """Three prompts with four responses each, open for labeling."""
    cast.add_prompts(project, 3)
    round_ = cast.make_round(project, ada_user)
    cast.write_completions(round_)
    return round_


@pytest.fixture(scope="module")
def scene_of_the_module(django_db_setup: None, django_db_blocker: Any) -> Iterator[Scene]:
    """Made once, in a transaction around those of the tests, which undo what they change."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield scene.set_up()
        transaction.set_rollback(True)


@pytest.fixture
def stage(scene_of_the_module: Scene, db: None) -> Scene:
    """As it was made: objects and cookies are no test's before."""
    made = scene_of_the_module
    return replace(
        made,
        project=Project.objects.get(pk=made.project.pk),
        round=Round.objects.get(pk=made.round.pk),
        clients={name: cast.like(client) for name, client in made.clients.items()},
        ids=dict(made.ids),
    )
