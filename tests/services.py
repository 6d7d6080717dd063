"""The real servers that tests run against: each pytest process has its own, reused across runs.

Importing this module points the environment at them, before Django reads its settings. A server
starts when the first test asks for it, under the same code as in `make run`.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TextIO

import django

from annotate import environment
from annotate.environment import CHECKOUT, DATABASE_ROLE, Environment
from annotate.launch import checks, leftovers, plan, postgres
from annotate.launch.child import Child, Spec, State

TEST_DATABASE = "test_prefloop"
# A commit survives the server's death but not the machine's: tests make their data anew.
CARELESS = {"fsync": "off", "full_page_writes": "off"}
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Site:
    """A web server process and the address under which it answers."""

    url: str
    child: Child


def take_place() -> TextIO:
    """Claim the first free folder var/test/<n> and point the environment there.

    The returned file holds the claim as long as it is open.
    """
    for number in range(100):
        place = CHECKOUT / "var" / "test" / str(number)
        place.mkdir(parents=True, exist_ok=True)
        lock = (place / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        for name, _, _ in environment.variables():
            os.environ.pop(name, None)
        os.environ |= {"VAR_DIR": str(place), "DJANGO_SETTINGS_MODULE": "annotate.settings"}
        environment.read.cache_clear()
        return lock
    raise RuntimeError("a hundred test runs at once: remove the folder var/test")


_place = take_place()
ENV: Environment = environment.read()
checks.folders(ENV)
leftovers.end(ENV.var_dir / "children.json", (CHECKOUT, ENV.var_dir))
_running: list[Child] = []
django.setup()


def wait_until_ready(child: Child) -> None:
    """Raises RuntimeError with the reason when the process ends instead."""
    while child.state is not State.READY:
        child.tick()
        if child.failures:
            raise RuntimeError(f"{child.spec.name} {child.why(child.poll() or 0)}")
        time.sleep(0.02)


def halt(child: Child) -> None:
    """Stop it as `make run` does."""
    child.ask_to_stop()
    while not child.stop_tick():
        time.sleep(0.02)


@contextmanager
def serving(spec: Spec) -> Iterator[Child]:
    """Run one server; it is not restarted when a test kills it, `child.start()` does that."""
    child = Child(spec, print)
    child.start()
    _running.append(child)
    _remember()
    try:
        wait_until_ready(child)
        yield child
    finally:
        halt(child)
        _running.remove(child)
        _remember()


def _remember() -> None:
    """For the next run, should this one be killed."""
    found = [
        leftovers.group(child.spec.name, child.process.pid, child.spec.stop_signal)
        for child in _running
        if child.process is not None
    ]
    leftovers.remember(ENV.var_dir / "children.json", [one for one in found if one is not None])


@contextmanager
def embedded_postgres() -> Iterator[Child]:
    data, sockets = ENV.var_dir / "postgres", ENV.run_dir / "postgres"
    postgres.prepare(data, sockets)
    spec = next(spec for spec in plan.stores(ENV) if spec.name == "postgres")
    command = postgres.command(data, sockets, **CARELESS)
    with serving(replace(spec, commands=[command])) as child:
        postgres.ensure_database(sockets, "prefloop")
        widen_role(sockets)
        yield child


def widen_role(sockets: Path) -> None:
    """pytest-django makes its database anew each time; benchmarks fill one past the triggers."""
    with postgres.as_superuser(sockets) as connection:
        connection.execute(f"ALTER ROLE {DATABASE_ROLE} CREATEDB")
        allowed = "GRANT SET ON PARAMETER session_replication_role TO"
        connection.execute(f"{allowed} {DATABASE_ROLE}")
        connection.execute(f"DROP DATABASE IF EXISTS {TEST_DATABASE} WITH (FORCE)")


@contextmanager
def embedded_valkey() -> Iterator[Child]:
    spec = next(spec for spec in plan.stores(ENV) if spec.name == "valkey")
    with serving(spec) as child:
        yield child


def on_test_database(spec: Spec) -> Spec:
    """The same process, working in the database that pytest-django makes."""
    url = ENV.database_url.replace("/prefloop?", f"/{TEST_DATABASE}?")
    return replace(spec, environment={**spec.environment, "DATABASE_URL": url})


@contextmanager
def web_server(database: Callable[[Spec], Spec] = on_test_database) -> Iterator[Site]:
    port = environment.free_port()
    spec = database(plan.web(ENV.model_copy(update={"port": port})))
    probe = partial(plan.web_answers, ENV.host, port)
    with serving(replace(spec, probe=probe)) as child:
        yield Site(f"http://127.0.0.1:{port}", child)


@contextmanager
def celery(name: str) -> Iterator[Child]:
    """One of the processes `worker`, `generator` and `beat`."""
    spec = next(spec for spec in plan.jobs(ENV) if spec.name == name)
    with serving(on_test_database(spec)) as child:
        yield child


@contextmanager
def local_vllm() -> Iterator[Child]:
    shared = CHECKOUT / "var" / "models"
    shared.mkdir(exist_ok=True)
    own = ENV.var_dir / "models"
    if not own.is_symlink():
        own.symlink_to(shared, target_is_directory=True)
    plan.prepare_vllm(ENV)
    with serving(plan.vllm(ENV)) as child:
        yield child


def chromium() -> str | None:
    """Path of the machine's Chromium or Chrome; None: the one that Playwright installed."""
    names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    return next((path for name in names if (path := shutil.which(name))), None)
