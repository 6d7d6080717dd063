"""Fixtures of all tests: the real servers, started when the first test needs one."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis
from django.core.management import call_command
from django.db import OperationalError, connection
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from annotate.launch.child import Child
from tests import services
from tests.services import Site

# After this module, which points Django at the tests' own servers.
pytest_plugins = ["tests.contract"]

FLUSH_ATTEMPTS = 5

# How long an example takes says how busy the machine is.
hypothesis_settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("patient")

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


@pytest.fixture(scope="session", autouse=True)
def _patient_flush() -> Iterator[None]:
    """Empty the tables again when a worker's regular job stood in the way.

    The workers live on from test to test. When one of them and the emptying of all tables wait for
    each other, PostgreSQL ends one of the two, sometimes the emptying.
    """
    kind = type(connection.ops)
    flush = kind.execute_sql_flush

    def patiently(operations: Any, statements: Sequence[str]) -> None:
        for _ in range(FLUSH_ATTEMPTS - 1):
            with contextlib.suppress(OperationalError):
                return flush(operations, statements)
        return flush(operations, statements)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "execute_sql_flush", patiently)
        yield


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> None:
    """No test sees another's sessions and throttles."""
    uses_database = request.node.get_closest_marker("django_db") is not None
    if uses_database or {"db", "transactional_db"} & set(request.fixturenames):
        request.getfixturevalue("valkey")
        client = redis.Redis.from_url(services.ENV.cache_url)
        client.flushdb()
        client.close()


# The Celery processes end with their module: their regular work would reach into other tests.


@pytest.fixture(scope="module")
def worker(django_db_setup: None) -> Iterator[Child]:
    """The Celery worker of queue `default`. Tests that need it are transactional."""
    with services.celery("worker") as child:
        yield child


@pytest.fixture(scope="module")
def generator(django_db_setup: None) -> Iterator[Child]:
    """The Celery worker of queue `generate`."""
    with services.celery("generator") as child:
        yield child


@pytest.fixture(scope="module")
def trainer(django_db_setup: None) -> Iterator[Child]:
    """The Celery worker of queue `train`."""
    with services.celery("trainer") as child:
        yield child


@pytest.fixture(scope="module")
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
