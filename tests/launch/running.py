"""`make run` itself, started by a test in a folder of its own: all but vLLM."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

from annotate.environment import CHECKOUT, free_port
from annotate.launch import leftovers
from tests.patience import PATIENCE_S

COMMAND = [sys.executable, "-m", "annotate.launch"]


class Run:
    """One supervisor under test, with its folder, port and what it says."""

    def __init__(self, folder: Path, said: Path | None = None) -> None:
        self.folder = folder
        self.said = said or folder / "said"
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
