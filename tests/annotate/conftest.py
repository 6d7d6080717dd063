"""A project with its admin, and rounds over a few prompts."""

from collections.abc import Callable

import pytest

from annotate.models import Project, Round, User
from annotate.queries.prompts import PromptFilter
from annotate.services import rounds
from annotate.services.projects import create_project
from annotate.services.rounds import Source
from tests import cast

NewRound = Callable[..., Round]


@pytest.fixture
def ada(db: None) -> User:
    return cast.person("ada")


@pytest.fixture
def tone(ada: User) -> Project:
    return create_project(actor_id=ada.pk, slug="tone", name="Tone")


@pytest.fixture
def new_round(tone: Project, ada: User) -> NewRound:
    """Start a round over some prompts that asks one model, or the sources given."""

    def make(
        *sources: Source, prompts: int = 3, k: int = 4, overlap: int = 1, start: bool = True
    ) -> Round:
        if tone.prompts.count() < prompts:
            cast.add_prompts(tone, prompts)
        round_ = rounds.create_round(
            project_id=tone.pk,
            actor_id=ada.pk,
            prompts=PromptFilter(),
            k=k,
            overlap=overlap,
            sources=sources or [Source(served_model_id=cast.served_model().pk)],
        )
        if start:
            rounds.start_round(round_id=round_.pk, actor_id=ada.pk)
        return round_

    return make
