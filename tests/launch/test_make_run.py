"""The supervisor with the real servers, all but vLLM: its whole life as a person sees it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from annotate.environment import CHECKOUT, free_port
from annotate.launch import leftovers
from tests.patience import PATIENCE_S

COMMAND = [sys.executable, "-m", "annotate.launch"]


class Run:
    """One supervisor under test, with its folder, port and what it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = folder / "said"
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        own = {"VAR_DIR": str(folder), "PORT": str(port), "PYTHONUNBUFFERED": "1"}
        # Nobody answers there: the site has to work without a model.
        self.environment = {**os.environ, **own, "INFERENCE_URL": f"http://127.0.0.1:{free_port()}"}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until everything runs."""
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                COMMAND, cwd=CHECKOUT, env=self.environment, stdout=said, stderr=said
            )
        self.until(lambda: "beat is ready" in self.said.read_text())

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/health", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def until(self, condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.said.read_text()
            assert self.process is None or self.process.poll() is None, self.said.read_text()
            time.sleep(0.1)

    def children(self) -> dict[str, int]:
        assert self.process is not None
        file = self.folder / "children.json"
        groups = leftovers.read(file)
        return {group.name: group.number for group in groups}

    def family(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: int = signal.SIGTERM) -> list[psutil.Process]:
        """Send the signal; returns the processes that are still there when it has ended."""
        assert self.process is not None
        family = self.family()
        self.process.send_signal(number)
        self.process.wait(PATIENCE_S)
        self.process = None
        return psutil.wait_procs(family, timeout=PATIENCE_S)[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    one = Run(tmp_path_factory.mktemp("var"))
    yield one
    if one.process is not None:
        one.stop()


@pytest.mark.timeout(400)
def test_the_life_of_make_run(run: Run) -> None:
    run.start()
    run.until(run.answers)
    said = run.said.read_text()
    assert "INFERENCE_URL: " in said
    assert run.url.replace("127.0.0.1", "localhost") in said
    assert "ada " in said
    assert (run.folder / "secrets" / "password_ada").read_text().strip() in said
    assert "ada " not in (run.folder / "log" / "supervisor.log").read_text()

    second = subprocess.run(
        COMMAND, cwd=CHECKOUT, env=run.environment, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert second.stderr.strip().count("\n") == 0
    assert "it runs already" in second.stderr

    for name in ("postgres", "valkey", "web", "worker"):
        before = run.children()[name]
        os.kill(before, signal.SIGKILL)
        run.until(lambda: f"{name} was ended by SIGKILL" in run.said.read_text())  # noqa: B023
        run.until(lambda: run.said.read_text().count(f"{name} is ready") == 2)  # noqa: B023
        run.until(run.answers)

    assert run.stop() == []
    said = run.said.read_text()
    order = ["beat", "web", "worker", "generator", "trainer", "valkey", "postgres"]
    places = [said.index(f"{name} stopped in") for name in order]
    assert places == sorted(places)

    password = (run.folder / "secrets" / "password_ada").read_text()
    run.start()
    assert password.strip() in run.said.read_text()

    assert run.stop(signal.SIGKILL) == [], "children end with a killed supervisor"
    run.start()
    run.until(run.answers)
    assert run.stop(signal.SIGINT) == []
