"""What speaks against a candidate is said wherever it is said that the gate was passed."""

from training.loop.words import counted
from training.queries.evaluations import warnings
from training.services.loop.turn import Turn


def doubted(turn: Turn) -> str:
    """ ", with 2 warnings", or nothing."""
    assert turn.step.evaluation is not None  # noqa: S101
    found = len(warnings(turn.step.evaluation))
    return f", with {counted(found, 'warning')}" if found else ""
