"""The engine as a child process: started, asked to stop, ended."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from annotate.environment import CHECKOUT

# The engine reads files: what opens the database or the model server is not for it.
WITHHELD = (
    "SECRET_KEY",
    "DATABASE_URL",
    "BROKER_URL",
    "CACHE_URL",
    "INFERENCE_URL",
    "INFERENCE_API_KEY",
    "TRAINING_ROLLOUTS_URL",
    "TRAINING_ROLLOUTS_API_KEY",
    "VLLM_API_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)


def training_command(folder: Path, launch: str) -> list[str]:
    """launch: what starts several processes, as `accelerate launch --config_file …`; "" for one."""
    module = ["-m", "training.engine", str(folder)]
    if not launch.strip():
        return [sys.executable, *module]
    program, *options = shlex.split(launch)
    beside = Path(sys.executable).parent / program
    return [str(beside) if beside.is_file() else program, *options, *module]


def environment_of(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of the engine's processes."""
    kept = {name: value for name, value in environment.items() if name not in WITHHELD}
    paths = [str(CHECKOUT), *filter(None, [environment.get("PYTHONPATH", "")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


class Child:
    """A process that ends with this one. log: what it says is added there.

    secrets: variables for this process alone.
    """

    def __init__(
        self, command: Sequence[str], log: Path, secrets: Mapping[str, str] | None = None
    ) -> None:
        leash = [sys.executable, "-m", "training.runs.leash", str(os.getpid())]
        with log.open("ab") as opened:
            self._process = subprocess.Popen(
                [*leash, *command],
                cwd=CHECKOUT,
                env={**environment_of(), **(secrets or {})},
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """Its exit code, negative for a signal; None if it lives on after that time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_stop(self) -> None:
        """A launcher of several processes passes it on to them."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, with everything that it started."""
        family = [self.pid, *_descendants(self.pid)]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in family[1:]:  # a launcher gives its processes sessions of their own
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def _descendants(pid: int) -> Iterator[int]:
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, tasks.read_text().split()):
                yield child
                yield from _descendants(child)
