"""The supervisor with the real servers, all but vLLM: its whole life as a person sees it."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from annotate.environment import CHECKOUT
from tests.launch.running import COMMAND, Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    one = Run(tmp_path_factory.mktemp("var"))
    yield one
    if one.process is not None:
        one.stop()


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
