"""Draft writes of one labeler at the same instant: one newest text, and none of the others lost."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import connections

from annotate.models import Draft, KeptDraft, Project, Role, User
from annotate.services.drafts import Origin, Saved, save_draft, use_kept
from annotate.services.projects import create_project
from tests import cast
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.django_db(transaction=True)
PAGES = 8


@pytest.fixture
def project(db: None) -> Project:
    project = create_project(actor_id=cast.person("ada").pk, slug="tone", name="Tone")
    cast.add_prompts(project, 1)
    cast.write_completions(cast.make_round(project, User.objects.get(username="ada")))
    return project


@pytest.fixture
def lena(project: Project) -> User:
    return cast.member(project, "lena", Role.LABELER)


@pytest.fixture
def claim(project: Project, lena: User) -> int:
    return cast.claim(lena, project).claim_id


def at_once(jobs: list[Callable[[], Any]]) -> list[Any]:
    """All at the same moment, each with a connection of its own."""
    gate = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        try:
            gate.wait(PATIENCE_S)
            return job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as threads:
        return [done.result(PATIENCE_S) for done in [threads.submit(run, job) for job in jobs]]


def test_of_many_requests_of_one_page_the_last_counts(lena: User, claim: int) -> None:
    steps = list(range(1, PAGES + 1))
    random.Random(5).shuffle(steps)
    at_once([partial(write, lena, claim, "page", step) for step in steps])
    newest = Draft.objects.get()
    assert (newest.step, newest.body) == (PAGES, {"rationale": f"page {PAGES}"})
    assert not KeptDraft.objects.exists()


def test_of_many_pages_one_is_the_newest_and_the_others_lie_beside(lena: User, claim: int) -> None:
    saved: list[Saved] = at_once(
        [partial(write, lena, claim, f"page{page}", 1) for page in range(PAGES)]
    )
    assert [each.kept for each in saved].count(None) == 1
    texts = [Draft.objects.get().body, *KeptDraft.objects.values_list("body", flat=True)]
    assert sorted(text["rationale"] for text in texts) == [f"page{n} 1" for n in range(PAGES)]


def test_two_that_take_over_different_texts_lose_none(lena: User, claim: int) -> None:
    kept = [write(lena, claim, f"page{page}", 1).kept for page in range(4)][1:]
    at_once(
        [partial(use_kept, claim_id=claim, labeler_id=lena.pk, kept_id=one or 0) for one in kept]
    )
    texts = [Draft.objects.get().body, *KeptDraft.objects.values_list("body", flat=True)]
    assert sorted(text["rationale"] for text in texts) == [f"page{n} 1" for n in range(4)]


def write(lena: User, claim: int, page: str, step: int) -> Saved:
    return save_draft(
        claim_id=claim,
        labeler_id=lena.pk,
        body={"rationale": f"{page} {step}"},
        size=40,
        origin=Origin(base=0, writer=page, step=step),
    )
