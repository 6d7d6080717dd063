"""The folder of a run, as the engine lays it out (training/engine/process/folder.py), read here.

What stays in it: of a finished run everything but checkpoints and copies of data and adapters, so
the adapter, its metrics and its reports; of any other run all of it until `TRAINING_KEEP_DAYS` have
passed, so that it can go on from its last checkpoint, and then no checkpoints either.
"""

import fcntl
import json
import shutil
from pathlib import Path
from typing import Any

KEPT = frozenset(
    {
        "spec.json",
        "run.json",
        "metrics.jsonl",
        "rollouts.jsonl",
        "heartbeat.json",
        "data_report.json",
        "evaluation.json",
        "result.json",
        "log.txt",
        "adapter",
        "chat_template.jinja",
    }
)


class RunFiles:
    """The places in a run's folder, and what the engine wrote there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.spec = root / "spec.json"
        self.manifest = root / "run.json"
        self.metrics = root / "metrics.jsonl"
        self.rollouts = root / "rollouts.jsonl"
        self.heartbeat = root / "heartbeat.json"
        self.data_report = root / "data_report.json"
        self.evaluation = root / "evaluation.json"
        self.result = root / "result.json"
        self.adapter = root / "adapter"
        self.log = root / "log.txt"

    def forget_earlier_end(self) -> None:
        """What a stopped or failed start said last is not this start's word."""
        self.heartbeat.unlink(missing_ok=True)
        if (read_json(self.result) or {}).get("state") != "finished":
            self.result.unlink(missing_ok=True)

    def is_held(self) -> bool:
        """Whether an engine is at work in the folder."""
        try:
            with (self.root / ".lock").open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def tidy(self) -> None:
        """Remove what a run needs only to go on."""
        for path in self.root.iterdir():
            if path.name in KEPT:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def read_json(place: Path) -> dict[str, Any] | None:
    """None where there is no such file, or no whole one."""
    try:
        content = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
