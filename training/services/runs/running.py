"""Running the engine on a run: a job that may be killed anywhere and run again.

The engine works in the run's folder and can go on from its checkpoints. This job takes the run by a
lease, prepares the folder, starts the engine as a child process, brings what it writes into the
database every two seconds, and says how it ended.
"""

import errno
import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from annotate.errors import Conflict, Refusal
from inference.local import bundled_gguf
from training.models import TrainingRun
from training.runs import endings
from training.runs.base_model import place_of
from training.runs.child import Child, training_command
from training.runs.folder import read_json
from training.runs.log_tail import last_line, tail
from training.services.runs import leases, results, tidying
from training.services.runs.leases import LeaseLost
from training.services.runs.preparing import prepare
from training.services.runs.syncing import Sync

log = logging.getLogger(__name__)

SYNC_EVERY_S = 2.0
# A step and its checkpoint take so long at most; then the engine is asked to end at once.
STOP_PATIENCE_S = 300.0
END_PATIENCE_S = 10.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Set when the worker process is asked to stop: the run saves a checkpoint and goes back to the
# queue.
stopping = threading.Event()


class Asked(Exception):
    """Somebody canceled the run, or this worker stops."""


def run_in_turn() -> None:
    """Run the one whose turn it is among those that wait, if this worker does not stop."""
    while not stopping.is_set() and (run_id := leases.in_turn()) is not None:
        if run_training(run_id=run_id):
            return  # else another worker was faster


def run_training(*, run_id: int) -> bool:
    """Run it, unless it does not wait any more or this worker is about to stop: then False."""
    run = None if stopping.is_set() else leases.take(run_id)
    if run is None:
        return False
    try:
        Start(run).run()
    except LeaseLost:
        log.warning("%s is another worker's by now, or it ended", run)
    return True


class Start:
    """One start of a run by this worker."""

    def __init__(self, run: TrainingRun) -> None:
        self._run = run
        self._folder = tidying.folder_of(run)
        self._beat_at = time.monotonic()
        self._asked_at: float | None = None
        self._asked_again = False

    def run(self) -> None:
        """From the folder to the end. Raises LeaseLost, DatabaseError."""
        try:
            self._settle(self._train(self._prepare()))
        except Asked:
            leases.stop(self._run)
        except (LeaseLost, DatabaseError, InterfaceError):
            raise  # nothing can be written now: the run is taken up again when it is silent
        except Refusal as refusal:
            self._fail(refusal.message, "Correct it, then resume the run.")
        except OSError as problem:
            log.exception("%s ended with an error", self._run)
            if problem.errno in _FULL:
                self._fail(endings.DISK_FULL, endings.FREE_SPACE)
            else:
                self._fail(f"A file cannot be used: {problem}.", "Correct it, then resume the run.")
        except Exception as problem:
            log.exception("%s ended with an error", self._run)
            self._fail(
                f"The worker failed: {type(problem).__name__}: {problem}"[:500],
                "The trainer's log has the detail. Correct it, then resume the run.",
            )

    def _prepare(self) -> str:
        """Put what the engine reads into the folder; returns where the base lies. Raises Asked."""
        if self._run.starts == 1 and not self._folder.is_held():
            # Of another database's run with the same id.
            shutil.rmtree(self._folder.root, ignore_errors=True)
        self._folder.root.mkdir(parents=True, exist_ok=True)
        place = place_of(settings.TRAINING_MODEL, settings.MODELS) or self._unpacked()
        with leases.pulse(self._run):
            prepare(self._run, self._folder, place, self._alive)
        return place

    def _unpacked(self) -> str:
        place = str(settings.MODELS / settings.TRAINING_MODEL)
        command = [sys.executable, "-m", "training.engine.unpack", str(bundled_gguf()), place]
        if self._watched(command, lambda: leases.beat(self._run)) != 0:
            if self._asked_at is not None:
                raise Asked
            why = last_line(tail(self._folder.log)) or "no reason was given"
            raise Conflict(f"The bundled model cannot be unpacked: {why}")
        return place

    def _alive(self) -> None:
        """A sign of life now and then. Raises Asked."""
        if time.monotonic() - self._beat_at < SYNC_EVERY_S:
            return
        self._beat_at = time.monotonic()
        if leases.beat(self._run) or stopping.is_set():
            raise Asked

    def _train(self, place: str) -> int:
        """Run the engine on the base at `place`; returns its exit code."""
        log.info("%s begins, on %s", self._run, place)
        if leases.beat(self._run) or stopping.is_set():
            raise Asked
        self._folder.forget_earlier_end()
        sync = Sync(self._run, self._folder)
        command = training_command(self._folder.root, settings.TRAINING_LAUNCH)
        return self._watched(command, sync.once, self._secrets())

    def _secrets(self) -> dict[str, str]:
        """What the engine needs to sample PPO's answers on a server."""
        key = settings.TRAINING_ROLLOUTS_API_KEY
        return {"VLLM_API_KEY": key} if key and self._run.spec.get("ppo") else {}

    def _watched(
        self,
        command: Sequence[str],
        beat: Callable[[], bool],
        secrets: Mapping[str, str] | None = None,
    ) -> int:
        """Run a child process until its end. beat: whether somebody asked the run to stop."""
        child = Child(command, self._folder.log, secrets)
        try:
            while (code := child.wait(SYNC_EVERY_S)) is None:
                if beat() or stopping.is_set():
                    self._ask(child)
            beat()
            return code
        finally:
            child.kill()  # when the lease is lost; and what a launcher left behind

    def _ask(self, child: Child) -> None:
        """Once for a checkpoint; when that takes too long, to end at once; then by force."""
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            child.ask_to_stop()
        elif now - self._asked_at > STOP_PATIENCE_S + END_PATIENCE_S:
            child.kill()
        elif now - self._asked_at > STOP_PATIENCE_S and not self._asked_again:
            self._asked_again = True
            child.ask_to_stop()

    def _settle(self, code: int) -> None:
        """Write down how the engine ended."""
        result = read_json(self._folder.result)
        if result is None:
            self._settle_without_word(code)
        elif result["state"] == "finished":
            with leases.pulse(self._run):
                results.keep(self._run, self._folder, result)
            tidying.tidy(self._run)
        elif result["state"] == "stopped":
            self._stopped()
        else:
            message, advice = map(endings.for_people, (result["message"], result["advice"]))
            self._fail(message, advice, result["warnings"])

    def _settle_without_word(self, code: int) -> None:
        if self._asked_at is not None:
            leases.stop(self._run)
        elif self._folder.is_held():
            # An engine whose worker died still writes its checkpoint: the run waits for it.
            leases.stop(self._run)
        else:
            leases.lose(self._run, endings.without_word(code, tail(self._folder.log)))

    def _stopped(self) -> None:
        """With a checkpoint; asked by this worker, or by somebody on the machine."""
        if self._asked_at is not None:
            leases.stop(self._run)
        else:
            leases.lose(self._run, endings.STOPPED)

    def _fail(self, message: str, advice: str, warnings: Sequence[str] = ()) -> None:
        leases.fail(self._run, message=message, advice=advice, warnings=list(warnings))
