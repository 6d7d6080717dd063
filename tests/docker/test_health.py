"""The containers' health checks against the processes that they watch."""

import contextlib
import importlib.util
import os
import time
from pathlib import Path
from types import ModuleType

import pytest

from annotate.launch.child import Child
from tests import services
from tests.docker.definitions import DOCKER
from tests.patience import PATIENCE_S


@pytest.fixture(scope="module")
def health() -> ModuleType:
    spec = importlib.util.spec_from_file_location("health", DOCKER / "health.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.django_db(transaction=True)
def test_a_web_server_that_answers_is_healthy(health: ModuleType) -> None:
    with services.web_server() as site:
        health.web(int(site.url.rsplit(":", 1)[1]))


def test_no_web_server_is_not(health: ModuleType) -> None:
    with pytest.raises(health.Unhealthy, match="no answer on port 1"):
        health.web(1)


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_answers_is_healthy(health: ModuleType, worker: Child) -> None:
    for _ in range(6):  # each try waits for 5 s; a worker that has just begun does not answer
        with contextlib.suppress(health.Unhealthy):
            health.celery("worker")
            return
    pytest.fail("the worker never answered")


@pytest.mark.django_db(transaction=True)
def test_another_worker_is_not(health: ModuleType, worker: Child) -> None:
    with pytest.raises(health.Unhealthy, match=r"trainer@.* does not answer"):
        health.celery("trainer")


@pytest.mark.django_db(transaction=True)
def test_beat_is_healthy_while_it_writes_its_schedule(health: ModuleType) -> None:
    schedule = services.ENV.var_dir / "beat"
    for file in schedule.parent.glob("beat*"):
        file.unlink()
    with services.celery("beat"):
        end = time.monotonic() + PATIENCE_S
        while not list(schedule.parent.glob("beat*")) and time.monotonic() < end:
            time.sleep(0.1)
        health.beat(schedule)


def test_beat_is_not_when_it_stopped_writing(health: ModuleType, tmp_path: Path) -> None:
    schedule = tmp_path / "beat"
    with pytest.raises(health.Unhealthy, match="no schedule"):
        health.beat(schedule)
    (tmp_path / "beat.db").touch()
    health.beat(schedule)
    os.utime(tmp_path / "beat.db", (0, time.time() - 1000))
    with pytest.raises(health.Unhealthy, match="1000 s ago"):
        health.beat(schedule)


def test_an_unknown_process_is_a_mistake(
    health: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert health.main(["postgres"]) == 2
    assert "web|worker" in capsys.readouterr().err
