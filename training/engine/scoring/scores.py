"""scores.jsonl: rewards by the answers' ids, there as soon as they are known."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from training.engine.whole import write_whole


def read_scores(path: Path) -> dict[int, float]:
    """Those of an earlier start; a line that it left half-written is removed from the file."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8", errors="replace")
    found = {}
    for line in text.splitlines():
        try:
            score = json.loads(line)
            found[int(score["id"])] = float(score["reward"])
        except (ValueError, TypeError, KeyError):
            continue
    whole = _lines({number: reward for number, reward in found.items() if math.isfinite(reward)})
    if whole != text:
        write_whole(path, whole)
    return found


def add_scores(path: Path, scores: Mapping[int, float]) -> None:
    """Raises OSError."""
    with path.open("a", encoding="utf-8") as file:
        file.write(_lines(scores))


def _lines(scores: Mapping[int, float]) -> str:
    return "".join(
        json.dumps({"id": number, "reward": reward}, allow_nan=False) + "\n"
        for number, reward in scores.items()
    )
