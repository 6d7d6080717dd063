"""What the browser tests share: a project with people, pages of signed-in people, and a watch.

The watch reads every page's console and network: an uncaught error, a refused script or a request
to another host fails the test that it happened in.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from annotate.models import Project, Role, Round, User
from annotate.services.projects import create_project
from annotate.services.rankings import Said, submit_ranking
from tests import cast, services
from tests.browser.screen import Workbench
from tests.patience import PATIENCE_MS
from tests.services import Site


@dataclass
class Visits:
    """Opens browser profiles, and keeps what went wrong in them."""

    browser: Browser
    site: Site
    problems: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def profile(self, username: str = "", **options: Any) -> BrowserContext:
        """A new profile; with a user name, one that is signed in already."""
        options = {"viewport": {"width": 1280, "height": 800}, **options}
        context = self.browser.new_context(base_url=self.site.url, **options)
        context.set_default_timeout(PATIENCE_MS)
        self.contexts.append(context)
        if username:
            sign_in_by_cookie(context, self.site.url, username)
        context.on("console", self._read)
        context.on("weberror", lambda error: self.problems.append(str(error.error)))
        context.on("request", self._requested)
        return context

    def page(self, username: str = "", path: str = "", **options: Any) -> Page:
        """A page in a profile of its own, at `path` if there is one."""
        page = self.profile(username, **options).new_page()
        if path:
            page.goto(path)
        return page

    def bench(self, username: str, slug: str = "tone", **options: Any) -> Workbench:
        """Somebody's workbench with the first task on it."""
        bench = Workbench(self.page(username, f"/label/{slug}", **options))
        bench.wait_for_task()
        return bench

    def _read(self, message: ConsoleMessage) -> None:
        # Chromium reports every answer of 400 and above; the tests look at those themselves.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.problems.append(message.text)

    def _requested(self, request: Request) -> None:
        if not request.url.startswith((self.site.url, "data:image/", "blob:")):
            self.problems.append(f"request to {request.url[:200]}")


def sign_in_by_cookie(context: BrowserContext, url: str, username: str) -> None:
    """As after a sign-in, without the time that checking a password takes."""
    client = cast.signed_in(User.objects.get(username=username))
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": url}])


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium for this folder: as long as it lives, an event loop runs in this thread.

    It is defined here and not above, because a package's fixture lives as long as the package that
    defines it: other folders' tests run loops of their own.
    """
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # the tests' queries are sequential
        path = services.chromium()
        expect.set_options(timeout=PATIENCE_MS)
        yield playwright.chromium.launch(executable_path=path, args=services.CHROMIUM_FLAGS)


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A new browser profile; relative addresses lead to the site."""
    context = browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


@pytest.fixture
def visits(transactional_db: None, browser: Browser, site: Site) -> Iterator[Visits]:
    found = Visits(browser, site)
    yield found
    for context in found.contexts:
        context.close()
    wait_until_served()
    assert found.problems == []


def wait_until_served() -> None:
    """A page that is closed gives its tasks back; the tables are emptied only after that."""
    quiet = 0
    while quiet < 3:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state <> 'idle'"
            )
            (busy,) = cursor.fetchone()
        quiet = 0 if busy else quiet + 1
        time.sleep(0.02)


@pytest.fixture
def project(transactional_db: None) -> Project:
    """Ada's project "tone", in which Lena and Luis label."""
    ada = cast.person("ada")
    cast.may_create_projects(ada)
    project = create_project(actor_id=ada.pk, slug="tone", name="Tone")
    cast.member(project, "lena", Role.LABELER)
    cast.member(project, "luis", Role.LABELER)
    return project


StartRound = Callable[..., Round]


@pytest.fixture
def start_round(project: Project) -> StartRound:
    """Starts a round that is ready to be ranked."""

    def start(
        prompts: int = 3, *, k: int = 4, overlap: int = 1, texts: list[str] | None = None
    ) -> Round:
        if prompts:
            cast.add_prompts(project, prompts)
        ada = User.objects.get(username="ada")
        round_ = cast.make_round(project, ada, k=k, overlap=overlap)
        cast.write_completions(round_, texts)
        return round_

    return start


Say = Callable[..., int]


@pytest.fixture
def say(project: Project) -> Say:
    """Ranks the next task of somebody without a browser; returns the ranking's id."""

    def say_it(username: str, *tiers: str, **more: Any) -> int:
        labeler = User.objects.get(username=username)
        held = cast.claim(labeler, project)
        receipt = submit_ranking(
            claim_id=held.claim_id,
            labeler_id=labeler.pk,
            key=uuid4(),
            said=Said(tiers=[list(tier) for tier in tiers or "ABCD"], active_ms=42_000, **more),
        )
        return receipt.id

    return say_it
