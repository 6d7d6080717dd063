"""What can end a run, in words, each with what to change and the exit code it ends with."""

from typing import ClassVar


class EngineError(Exception):
    """A failure that a person can do something about.

    advice: what to change, one or two sentences; the class has one where none is given.
    exit_code: of `python -m training.engine`. permanent: the same run started again fails again.
    """

    exit_code: ClassVar[int] = 1
    permanent: ClassVar[bool] = True
    usual_advice: ClassVar[str] = "The log has the detail."

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice or self.usual_advice


class SpecError(EngineError):
    """The spec asks for what cannot be."""

    exit_code = 2
    usual_advice = "Correct the spec and start the run again."


class DataError(EngineError):
    """A data file is missing, unreadable, or holds nothing to train on."""

    exit_code = 2
    usual_advice = "Correct the data files and start the run again."


class Stopped(EngineError):
    """Somebody asked the run to end; a checkpoint is written."""

    exit_code = 3
    permanent = False
    usual_advice = "Start the same command again to go on from the checkpoint."


class StoppedAtOnce(Stopped):
    """Somebody did not want to wait for the checkpoint."""

    exit_code = 1
    usual_advice = "Start the same command again to go on from the last checkpoint."


class OutOfMemory(EngineError):
    exit_code = 4
    usual_advice = (
        "Lower training.tokens_per_pack or data.max_completion_tokens, turn on "
        'base.gradient_checkpointing, or hold the base in fewer bits (base.precision "nf4").'
    )


class NotFinite(EngineError):
    """The loss or a gradient is NaN or infinite."""

    exit_code = 5
    usual_advice = (
        "Lower optimizer.lr, or take a longer warm-up (optimizer.warmup_ratio); "
        "then start a new run."
    )


class DiskFull(EngineError):
    permanent = False
    usual_advice = (
        "Free some space, or keep fewer checkpoints (training.keep_checkpoints); "
        "then start the same command again to go on from the last checkpoint."
    )


class Busy(EngineError):
    """Another process is at work in the run folder."""

    permanent = False
    usual_advice = "Wait for it to end, or stop it first."


class Passing(EngineError):
    """The network or a disk failed; it may work the next time."""

    permanent = False
    usual_advice = "Start the same command again; the log has the detail."
