"""Fixtures of all tests: the real servers, started when the first test needs one."""

import os
from collections.abc import Iterator

import pytest
import redis
from django.core.management import call_command
from playwright.sync_api import Browser, Page, sync_playwright

from annotate.launch.child import Child
from tests import services
from tests.services import Site

# --- servers --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[Child]:
    with services.embedded_postgres() as child:
        yield child


@pytest.fixture(scope="session")
def valkey() -> Iterator[Child]:
    with services.embedded_valkey() as child:
        yield child


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres: Child, valkey: Child) -> None:
    """pytest-django asks for this before it makes the test database."""


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> None:
    """No test sees another's sessions and throttles."""
    uses_database = request.node.get_closest_marker("django_db") is not None
    if uses_database or {"db", "transactional_db"} & set(request.fixturenames):
        request.getfixturevalue("valkey")
        client = redis.Redis.from_url(services.ENV.cache_url)
        client.flushdb()
        client.close()


@pytest.fixture(scope="session")
def worker(django_db_setup: None) -> Iterator[Child]:
    """The Celery worker of queue `default`. Tests that need it are transactional."""
    with services.celery("worker") as child:
        yield child


@pytest.fixture(scope="session")
def generator(django_db_setup: None) -> Iterator[Child]:
    """The Celery worker of queue `generate`."""
    with services.celery("generator") as child:
        yield child


@pytest.fixture(scope="session")
def beat(django_db_setup: None) -> Iterator[Child]:
    """Celery's beat, which gives the workers the regular work."""
    with services.celery("beat") as child:
        yield child


@pytest.fixture(scope="session")
def site(django_db_setup: None) -> Iterator[Site]:
    """The web server as in production, on the test database."""
    call_command("collectstatic", interactive=False, verbosity=0)
    with services.web_server() as running:
        yield running


@pytest.fixture(scope="session")
def vllm() -> Iterator[Child]:
    """The real vLLM with the bundled model; address and key are the settings' own."""
    with services.local_vllm() as child:
        yield child


# --- browser --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread; the tests' own queries are sequential.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        path = services.chromium()
        yield playwright.chromium.launch(executable_path=path, args=services.CHROMIUM_FLAGS)


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A new browser profile; relative addresses lead to the site."""
    context = browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()
