"""A whole Prefloop for a benchmark: the servers of `make run` with their own, empty database."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from django.core.management import call_command
from psycopg import sql

from annotate.launch import plan, postgres
from tests import services
from tests.services import ENV


@contextmanager
def stores() -> Iterator[None]:
    """PostgreSQL with all its durability, Valkey, and a fresh, migrated database."""
    data, sockets = ENV.var_dir / "postgres", ENV.run_dir / "postgres"
    postgres.prepare(data, sockets)
    with ExitStack() as stack:
        for spec in plan.stores(ENV):
            stack.enter_context(services.serving(spec))
        _fresh_database(sockets)
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        yield


def _fresh_database(sockets: Path) -> None:
    name = sql.Identifier("prefloop")
    with postgres.as_superuser(sockets) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
    postgres.ensure_database(sockets, "prefloop")
    services.widen_role(sockets)


@contextmanager
def web() -> Iterator[services.Site]:
    """The web server as `make run` starts it, on a free port."""
    with services.web_server(lambda spec: spec) as site:
        yield site


@contextmanager
def jobs(*names: str) -> Iterator[None]:
    """Celery processes by name: worker, generator, beat."""
    with ExitStack() as stack:
        for spec in plan.jobs(ENV):
            if spec.name in names:
                stack.enter_context(services.serving(spec))
        yield
