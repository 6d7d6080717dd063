"""The engine's process with a scripted method; everything around the method is the real thing."""

import errno
import itertools
import sys
import time
import types
from collections.abc import Callable

import torch

from tests.patience import PATIENCE_S
from training.engine.__main__ import main as engine
from training.engine.errors import DataError, NotFinite, Stopped
from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.spec import RunSpec

Script = Callable[[RunSpec, RunFolder, Reporter, StopRequest], None]


def trains(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    reporter.phase("training", 3)
    reporter.progress(0)
    reporter.warn("The data are few.")
    for step in (1, 2, 3):
        reporter.progress(step)
        reporter.metrics({"step": step, "loss": 0.5 if step < 3 else float("nan")})


def waits(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    """Steps until somebody asks it to stop, as the training loop does, however long that takes."""
    reporter.phase("training", None)
    for step in itertools.count():
        reporter.progress(step)
        time.sleep(0.05)
        if stop.requested:
            (folder.checkpoints / f"step-{step:06d}").mkdir(parents=True)
            raise Stopped(f"Stopped after step {step}.")


def never_polls(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    reporter.phase("training", 1)
    time.sleep(PATIENCE_S)


def diverges(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    raise NotFinite("The loss of step 7 is not a finite number.")


def fills_memory(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    torch.empty(2**60, dtype=torch.uint8)


def fills_disk(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def finds_bad_data(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    raise DataError("rankings.jsonl has no ranking in it.")


def breaks(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    raise KeyError("weights")


SCRIPTS: dict[str, Script] = {
    script.__name__: script
    for script in (
        trains,
        waits,
        never_polls,
        diverges,
        fills_memory,
        fills_disk,
        finds_bad_data,
        breaks,
    )
}


def main(arguments: list[str]) -> int:
    """arguments: a run's folder and a script's name; returns the exit code.

    For a process of its own: it replaces the methods for good, before the engine imports them.
    """
    folder, script = arguments
    methods = types.ModuleType("training.engine.methods")
    vars(methods)["run_method"] = SCRIPTS[script]
    sys.modules["training.engine.methods"] = methods
    return engine([folder])
