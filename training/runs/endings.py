"""What became of a process, in words for people."""

import signal
from dataclasses import dataclass

from annotate.environment import without_secrets
from training.runs.log_tail import last_line

DISK_FULL = "The disk is full."
FREE_SPACE = "Free some space, then resume the run: it goes on from its last checkpoint."
_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
# The engine speaks to who wrote a spec and started a command; here somebody presses a button.
_WORDS = (
    ("ppo.server", "TRAINING_ROLLOUTS_URL"),
    ("Start the same command again", "Resume the run"),
    ("start the same command again", "resume the run"),
    ("start the run again", "create a new run"),
)


@dataclass(frozen=True, slots=True)
class Ending:
    """message: what happened. advice: what to do. again: another start may go better."""

    message: str
    advice: str
    again: bool = False


STOPPED = Ending(
    "Somebody on the machine stopped the training process.", "Resume the run.", again=True
)


def without_word(code: int, log: str) -> Ending:
    """Of a process that wrote no result. code: its exit status, negative for a signal."""
    if any(words in log for words in _FULL):
        return Ending(DISK_FULL, FREE_SPACE)
    if code == -signal.SIGKILL:
        return Ending(
            "The system ended the training process, most likely for lack of memory.",
            "Lower training.tokens_per_pack, or choose a preset for a smaller machine; or close "
            "other programs and resume the run.",
            again=True,
        )
    if code < 0:
        name = signal.Signals(-code).name
        return Ending(f"The training process was ended by {name}.", "Resume the run.", again=True)
    said = last_line(log)
    why = f": {said}" if said else "."
    return Ending(
        f"The training process ended with code {code} before it could say why{why}",
        "The log has the detail. Correct what it names, then resume the run.",
    )


def for_people(text: str) -> str:
    """The engine's message or advice, where a run is resumed by a button."""
    for its, ours in _WORDS:
        text = text.replace(its, ours)
    return without_secrets(text)
