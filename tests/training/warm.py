"""Engine processes forked from one that has imported PyTorch and the libraries already.

Importing them takes a process a quarter of a minute of CPU, and the tests start a hundred. Each run
still is a process of its own, with its own memory, signals and exit code; that the command itself
does the same is tested in test_process.py and test_launch_configs.py.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from subprocess import TimeoutExpired
from unittest import mock

ROOT = Path(__file__).parents[2]
IMPORTED = [
    *(
        f"training.engine.methods.{name}"
        for name in ("dpo", "kto", "online", "ppo", "reward", "sft")
    ),
    "training.engine.scoring.__main__",
    "tests.training.scripted_engine",
    "bitsandbytes.functional",
    "transformers.models.bert.modeling_bert",
    "transformers.models.llama.modeling_llama",
]
# Of the process that is forked: a library that has threads cannot be.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT)}

Main = Callable[[list[str]], int]


class WarmProcess:
    """What tests use of `subprocess.Popen`, with stderr as text."""

    def __init__(
        self, main: Main, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """main: a function of a module, from the command's arguments to its exit code.

        environment: more than the process that is forked has.
        """
        self._stderr = tempfile.NamedTemporaryFile("r", suffix=".stderr")  # noqa: SIM115
        given = (main, list(arguments), self._stderr.name, dict(environment or {}))
        self._process = forkserver().Process(target=_run, args=given, daemon=True)
        with mock.patch.dict(os.environ, ONE_THREAD):
            self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Minus the signal that ended it, as in `subprocess`; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise TimeoutExpired(self._process.name, timeout)
        return code

    def communicate(self, timeout: float) -> tuple[None, str]:
        self.wait(timeout)
        self._stderr.seek(0)
        return None, self._stderr.read()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class WarmProcesses:
    """Several that work on one run, as `torchrun` starts and stops them."""

    def __init__(self, main: Main, arguments: Sequence[str], count: int, port: int) -> None:
        """port: a free one, at which they meet."""
        self._all = [
            WarmProcess(
                main,
                arguments,
                {
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(count),
                    "LOCAL_WORLD_SIZE": str(count),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                },
            )
            for rank in range(count)
        ]

    @property
    def returncode(self) -> int | None:
        """The first that is not 0; None while one of them runs."""
        codes = [one.returncode for one in self._all]
        return None if None in codes else next((code for code in codes if code), 0)

    def communicate(self, timeout: float) -> tuple[None, str]:
        return None, "".join(one.communicate(timeout)[1] for one in self._all)

    def send_signal(self, number: int) -> None:
        for one in self._all:
            one.send_signal(number)


@cache
def forkserver() -> ForkServerContext:
    """It begins with the first process and ends with this one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    return context


def _run(main: Main, arguments: list[str], stderr: str, environment: dict[str, str]) -> None:
    with Path(stderr).open("w") as file:
        os.dup2(file.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.update(environment)
    sys.exit(main(arguments))
