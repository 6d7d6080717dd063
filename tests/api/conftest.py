"""The cast: Ada administers, Lena and Luis label, Rita reviews, Vera views, Mallory is not in."""

import pytest
from rest_framework.test import APIClient

from annotate.models import Project, Role, Round, User
from annotate.services.projects import create_project
from tests import cast


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
