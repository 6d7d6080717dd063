"""rollouts.jsonl: every answer that was learned from, a line each, to be looked at."""

import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from training.engine.ppo.experience import Learned, Measured
from training.engine.ppo.rewards import Answered

FILE = "rollouts.jsonl"


def rows(
    step: int, asked: Iterable[Answered], found: Measured, learned: Learned
) -> Iterator[dict[str, Any]]:
    """step: from 1. reward: as the sources gave it, parts by their names; score: what the policy
    learned from, scaled and with penalties; kl: nats from the reference; values: of the critic, a
    token each.
    """
    counts = found.counts.tolist()
    values = [part.tolist() for part in found.values.split(counts)]
    number = 0
    for one in asked:
        for answer, text in zip(one.answers, one.texts, strict=True):
            parts = {name: round(float(v[number]), 4) for name, v in found.rewards.items()}
            yield {
                "step": step,
                "prompt": list(one.prompt.messages),
                "answer": text,
                "finished": answer.finished,
                "tokens": counts[number],
                "reward": parts.pop("reward"),
                "rewards": parts,
                "score": round(float(learned.scores[number]), 4),
                "kl": round(float(learned.kl[number]), 4),
                "values": [round(value, 3) for value in values[number]],
            }
            number += 1


class Table:
    """Appends to the file; a run that goes on first removes what it is going to repeat."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._begun = False

    def add(self, step: int, lines: Iterable[dict[str, Any]]) -> None:
        """All lines of a step. Raises OSError on a full disk."""
        if not self._begun:
            self._keep_before(step)
            self._begun = True
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        with self._place.open("a", encoding="utf-8") as file:
            file.write(text)

    def _keep_before(self, step: int) -> None:
        """Line by line: the file of a long run does not fit into memory."""
        if not self._place.exists():
            return
        handle, draft = tempfile.mkstemp(dir=self._place.parent, prefix=f".{FILE}.")
        try:
            with (
                os.fdopen(handle, "w", encoding="utf-8") as kept,
                self._place.open(encoding="utf-8", errors="replace") as file,
            ):
                kept.writelines(line for line in file if _step(line) < step)
            Path(draft).chmod(0o644)
            Path(draft).replace(self._place)
        finally:
            Path(draft).unlink(missing_ok=True)


def _step(line: str) -> float:
    """Of a line that a killed run left half-written: never kept."""
    try:
        return int(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return math.inf
