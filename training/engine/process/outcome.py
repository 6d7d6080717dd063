"""result.json: how a run ended, for people and for what started it."""

import json
from collections.abc import Sequence
from typing import Any

from training.engine.errors import EngineError, Stopped
from training.engine.process.folder import RunFolder, now
from training.engine.process.last_word import SIZE, say

LONGEST = 600  # characters of a message, of up to 4 bytes, that has to fit into the reserve


def finished(folder: RunFolder, *, warnings: Sequence[str], seconds: float) -> None:
    _write(folder, "finished", "The run is finished.", None, warnings, seconds)
    if folder.writes:
        folder.reserve.unlink(missing_ok=True)


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
    if folder.writes:
        say(folder.result, _fitting(content), folder.reserve)


def _fitting(content: dict[str, Any]) -> str:
    """As JSON, which the reserve has room for: warnings are in the log as well."""
    text = _json(content)
    if len(text.encode()) <= SIZE:
        return text
    words = {name: content[name][:LONGEST] for name in ("message", "advice")}
    return _json({**content, **words, "warnings": []})


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
