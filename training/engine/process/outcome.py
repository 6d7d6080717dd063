"""result.json: how a run ended, for people and for what started it."""

from collections.abc import Sequence

from training.engine.errors import EngineError, Stopped
from training.engine.process.folder import RunFolder, now


def finished(folder: RunFolder, *, warnings: Sequence[str], seconds: float) -> None:
    _write(folder, "finished", "The run is finished.", None, warnings, seconds)


def ended(
    folder: RunFolder, problem: EngineError, *, warnings: Sequence[str], seconds: float
) -> None:
    """Stopped on request, or failed."""
    state = "stopped" if isinstance(problem, Stopped) else "failed"
    _write(folder, state, problem.message, problem, warnings, seconds)


def _write(
    folder: RunFolder,
    state: str,
    message: str,
    problem: EngineError | None,
    warnings: Sequence[str],
    seconds: float,
) -> None:
    content = {
        "state": state,
        "message": message,
        "advice": problem.advice if problem else "",
        "permanent": problem.permanent if problem else False,
        "exit_code": problem.exit_code if problem else 0,
        "error": type(problem).__name__ if problem else None,
        "warnings": list(warnings),
        "seconds": round(seconds, 1),
        "time": now(),
    }
    folder.write_json(folder.result, content)
