"""A small project, and ways to break what it runs on."""

import pytest

from annotate.models import Project, Role
from annotate.services.projects import create_project
from tests import cast


@pytest.fixture
def project(db: None) -> Project:
    ada = cast.person("ada")
    project = create_project(actor_id=ada.pk, slug="tone", name="Tone", lease_seconds=600)
    for name in ("lena", "luis"):
        cast.member(project, name, Role.LABELER)
    return project
