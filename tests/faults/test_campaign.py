"""`make run` under two labelers while its parts die, hang and refuse, one after the other.

Each test is a fault; after it the site has come back by itself and labelers go on. The last test
looks at the database: what was acknowledged is there once.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from annotate.environment import CHECKOUT, DATABASE_ROLE
from tests.faults.breaking import wait
from tests.faults.crowd import Crowd
from tests.launch.running import Run

TASKS = 1200
DISK = "1500m"  # of which the start wants 1 GiB free
JOBS = ("worker", "generator", "trainer", "beat")
COUNT_WORKERS = """
from annotate.celery_app import app
print(len(app.control.inspect(timeout=10, limit=3).ping() or {}))
"""
WRONG = {
    "a ranking without its comparison": """
        SELECT count(*) FROM annotate_ranking r WHERE
        (SELECT count(*) FROM annotate_comparison c WHERE c.ranking_id = r.id) <> 1""",
    "a task with more rankings than it asks for": """
        SELECT count(*) FROM annotate_task t WHERE
        (SELECT count(*) FROM annotate_ranking r WHERE r.task_id = t.id AND r.current)
        > t.required""",
}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk of its own, where this machine lets one be mounted."""
    folder = tmp_path_factory.mktemp("disk")
    options = f"size={DISK},mode=711"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    yield folder
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def run(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    one = Run(disk / "var", tmp_path_factory.mktemp("said") / "said")
    one.start()
    seed = [sys.executable, "-m", "tests.faults.seed", str(TASKS)]
    subprocess.run(seed, cwd=CHECKOUT, env=one.environment, check=True)
    yield one
    if one.process is not None:
        one.stop()


@pytest.fixture(scope="module")
def crowd(run: Run) -> Iterator[Crowd]:
    one = Crowd(run.url)
    with one.at_work():
        one.more("at first")
        yield one


@pytest.fixture(autouse=True)
def _nothing_is_an_error(crowd: Crowd) -> Iterator[None]:
    """Whatever happens, the answer is "later", never "a mistake of ours"."""
    yield
    assert crowd.statuses[500] == 0, crowd.statuses


def said(run: Run, text: str) -> int:
    return run.said.read_text().count(text)


def kill(run: Run, *names: str) -> None:
    """kill -9; until the supervisor has started each again."""
    before = {name: said(run, f"{name} is ready") for name in names}
    for name in names:
        os.kill(run.children()[name], signal.SIGKILL)
    for name, count in before.items():
        run.until(lambda: said(run, f"{name} is ready") > count)  # noqa: B023


@contextmanager
def stopped(run: Run, *names: str) -> Iterator[None]:
    """SIGSTOP of them and of all that they started."""
    leaders = [psutil.Process(run.children()[name]) for name in names]
    family = [one for leader in leaders for one in [leader, *leader.children(recursive=True)]]
    for one in family:
        one.suspend()
    try:
        yield
    finally:
        for one in family:
            one.resume()


def jobs_answer(run: Run) -> bool:
    command = [sys.executable, "-c", COUNT_WORKERS]
    asked = subprocess.run(
        command, cwd=CHECKOUT, env=run.environment, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() == "3"


def database(run: Run) -> "psycopg.Connection[tuple[int]]":
    place = run.folder / "run" / "postgres"
    return psycopg.connect(host=str(place), user=DATABASE_ROLE, dbname="prefloop")


def valkey(run: Run) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(run.folder / "run" / "valkey.sock"))


def test_the_background_processes_are_killed(run: Run, crowd: Crowd) -> None:
    kill(run, *JOBS)
    crowd.more("without any job")
    wait("the jobs", lambda: jobs_answer(run))


def test_the_background_processes_hang(run: Run, crowd: Crowd) -> None:
    with stopped(run, *JOBS):
        crowd.more("while the jobs hang")
    wait("the jobs", lambda: jobs_answer(run))


def test_valkey_is_killed_and_the_jobs_live_on(run: Run, crowd: Crowd) -> None:
    before = {name: run.children()[name] for name in JOBS}
    kill(run, "valkey")
    crowd.more("after Valkey's death")
    wait("the jobs", lambda: jobs_answer(run))
    assert {name: run.children()[name] for name in JOBS} == before


def test_valkey_hangs(run: Run, crowd: Crowd) -> None:
    with stopped(run, "valkey"):
        crowd.more("with sessions of the database")
    wait("the jobs", lambda: jobs_answer(run))


@pytest.mark.parametrize("setting", ["maxmemory", "min-replicas-to-write"])
def test_valkey_refuses(setting: str, run: Run, crowd: Crowd) -> None:
    server = valkey(run)
    before = server.config_get(setting)[setting] or ""
    server.config_set(setting, 1)
    crowd.more("while Valkey refuses")
    server.config_set(setting, before)
    server.close()
    wait("the jobs", lambda: jobs_answer(run))


def test_postgres_and_one_of_its_processes_are_killed(run: Run, crowd: Crowd) -> None:
    leader = psutil.Process(run.children()["postgres"])
    backend = next(one for one in leader.children() if DATABASE_ROLE in " ".join(one.cmdline()))
    backend.kill()
    crowd.more("after a backend's death")
    kill(run, "postgres")
    crowd.more("after PostgreSQL's death")


@pytest.mark.parametrize("name", ["postgres", "web"])
def test_it_hangs_and_goes_on(name: str, run: Run, crowd: Crowd) -> None:
    with stopped(run, name):
        wait("all labelers to wait", crowd.all_wait)
    crowd.more(f"after {name} hung")


def test_the_web_server_and_one_of_its_processes_are_killed(run: Run, crowd: Crowd) -> None:
    leader = psutil.Process(run.children()["web"])
    leader.children()[0].kill()
    crowd.more("after one web process's death")
    kill(run, "web")
    crowd.more("after the web server's death")


def test_the_disk_is_full(disk: Path, run: Run, crowd: Crowd) -> None:
    if not disk.is_mount():
        pytest.skip("a full disk was not tried: this machine lets no small one be mounted")
    assert run.process is not None
    filler = disk / "filler"
    fill(filler)
    run.until(lambda: said(run, "valkey cannot be asked") > 0)
    assert run.process.poll() is None
    filler.unlink()
    crowd.more("after the disk was freed")
    wait("the jobs", lambda: jobs_answer(run))
    assert run.process.poll() is None


def fill(filler: Path) -> None:
    """To the last byte."""
    for size in (2**24, 2**16, 2**12, 1):
        try:
            with filler.open("ab", buffering=0) as file:
                while file.write(bytes(size)):
                    pass
        except OSError:
            continue


def test_the_supervisor_is_killed_and_started_again(run: Run, crowd: Crowd) -> None:
    assert run.stop(signal.SIGKILL) == []
    run.start()
    crowd.more("after the supervisor's death")
    wait("the jobs", lambda: jobs_answer(run))


def test_what_was_acknowledged_is_there_once(run: Run, crowd: Crowd) -> None:
    crowd.go_home()
    with database(run) as connection:
        kept = [row[0] for row in connection.execute("SELECT id FROM annotate_ranking")]
        assert sorted(kept) == sorted(crowd.receipts)
        for what, statement in WRONG.items():
            assert connection.execute(statement.encode()).fetchone() == (0,), what


def test_nobody_else_reads_what_was_written(run: Run) -> None:
    """Under root others may pass through two folders, to PostgreSQL's, and enter nothing else."""
    passed = run.folder / "run"
    entrances = {*run.folder.iterdir(), *passed.iterdir()} - {passed}
    assert run.folder / "log" in entrances
    assert [one for one in entrances if one.stat().st_mode & 0o077] == []
    assert not run.folder.stat().st_mode & 0o066
    assert not passed.stat().st_mode & 0o066
