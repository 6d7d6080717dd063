"""One run from its folder to its exit code."""

import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from training.engine.errors import Busy, EngineError, SpecError, Stopped, StoppedAtOnce
from training.engine.launch.sharding import refuse_what_cannot_be_sharded
from training.engine.process import outcome
from training.engine.process.display import display_for
from training.engine.process.failures import in_words
from training.engine.process.folder import RunFolder
from training.engine.process.heartbeat import Heartbeat
from training.engine.process.kernels import bound_kernel_caches
from training.engine.process.memory import RunMemory
from training.engine.process.metrics import MetricsWriter
from training.engine.process.paths import with_absolute_paths
from training.engine.process.reporter import Reporter
from training.engine.process.stop import StopRequest
from training.engine.spec import read_spec

log = logging.getLogger(__name__)
AT_ONCE = "Ended at once by a second signal, without a checkpoint of the last steps."

# What is to be done in a folder: from it, a request to stop and a place for warnings to whether
# there was anything left to do.
Work = Callable[[RunFolder, StopRequest, list[str]], bool]


def run(root: Path) -> int:
    """Do what spec.json in the folder says; returns the exit code. Raises nothing."""
    return run_work(root, _train)


def run_work(root: Path, work: Work) -> int:
    """Do some work in a folder, which then has result.json; returns the exit code. Raises nothing.

    One process at a time is in the folder, and a signal asks it to stop.
    """
    # Of several processes (accelerate launch) the first one writes and speaks.
    first = os.environ.get("RANK", "0") == "0"
    folder = RunFolder(root, writes=first)
    bound_kernel_caches()
    begin = time.monotonic()
    warnings: list[str] = []
    try:
        if not folder.root.is_dir():
            raise SpecError(f"There is no run folder {folder.root}.")
        with folder.held():
            return _held_run(folder, work, begin, warnings)
    except BaseException as problem:
        known = in_words(problem)
        if not isinstance(problem, EngineError):
            log.exception("The run ended with an error.")
        _tell(known, folder, begin, warnings)
        return known.exit_code


def _held_run(folder: RunFolder, work: Work, begin: float, warnings: list[str]) -> int:
    stop = StopRequest()

    def end_at_once() -> None:
        problem = StoppedAtOnce(AT_ONCE)
        outcome.ended(folder, problem, warnings=warnings, seconds=time.monotonic() - begin)

    with stop.on_signals(end_at_once):
        if work(folder, stop, warnings):
            outcome.finished(folder, warnings=warnings, seconds=time.monotonic() - begin)
            _say(folder, f"The run is finished: {folder.root}")
        else:
            _say(folder, f"This run was finished before: {folder.root}")
    return 0


def _train(folder: RunFolder, stop: StopRequest, warnings: list[str]) -> bool:
    """Run the method of the spec; False when the run was finished before."""
    spec = read_spec(folder.spec)
    refuse_what_cannot_be_sharded(spec)
    located = with_absolute_paths(spec, folder)
    # Imported here: a wrong spec is refused without the seconds of importing torch.
    from training.engine.base.load import default_device
    from training.engine.memory.peak import PeakMemory
    from training.engine.methods import run_method
    from training.engine.process import manifest

    with ExitStack() as stack:
        heartbeat = stack.enter_context(Heartbeat(folder))
        data = manifest.data_identity(folder, spec)
        if manifest.is_finished(folder, spec, data):
            return False
        if folder.writes:
            manifest.begin(folder, spec, data)
            folder.result.unlink(missing_ok=True)
        memory = RunMemory(stack.enter_context(PeakMemory(default_device())))
        display = display_for(visible=folder.writes)
        stack.callback(display.close)
        reporter = Reporter(MetricsWriter(folder), heartbeat, display, memory)
        reporter.warnings = warnings
        if stop.requested:
            raise Stopped("Stopped before the first step.", advice="Start the same command again.")
        run_method(located, folder, reporter, stop)
        peak = memory.peak()
        folder.update_manifest({"memory": {"peak": peak.to_json()}})
        display.close()
        if table := memory.to_text(peak):
            display.say(table)
    return True


def _tell(problem: EngineError, folder: RunFolder, begin: float, warnings: list[str]) -> None:
    _say(folder, f"{problem.message}\n{problem.advice}".strip())
    # The result of a folder in which another process is at work is that process's.
    if isinstance(problem, Busy) or not folder.root.is_dir():
        return
    try:
        outcome.ended(folder, problem, warnings=warnings, seconds=time.monotonic() - begin)
    except OSError as again:
        log.error("result.json could not be written: %s", again)


def _say(folder: RunFolder, text: str) -> None:
    if folder.writes:
        print(text, file=sys.stderr, flush=True)
