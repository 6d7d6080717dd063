"""The folder of a run: what lies where, written whole or not at all."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.engine.errors import Busy
from training.engine.process.last_word import keep_room
from training.engine.whole import write_whole


def now() -> str:
    """The time as every file of a run states it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class RunFolder:
    """The paths of a run.

    writes: False in all processes but the first of a run on several GPUs; nothing is written then.
    """

    def __init__(self, root: Path, *, writes: bool = True) -> None:
        self.root = root.resolve()
        self.writes = writes
        self.spec = self.root / "spec.json"
        self.manifest = self.root / "run.json"
        self.metrics = self.root / "metrics.jsonl"
        self.heartbeat = self.root / "heartbeat.json"
        self.data_report = self.root / "data_report.json"
        self.checkpoints = self.root / "checkpoints"
        self.adapter = self.root / "adapter"
        self.merged = self.root / "merged"
        self.evaluation = self.root / "evaluation.json"
        self.result = self.root / "result.json"
        self.reserve = self.root / ".result.reserve"

    def resolve(self, path: str) -> Path:
        """A path of the spec: absolute, or relative to this folder."""
        return self.root / Path(path).expanduser()

    def write_json(self, place: Path, content: Any) -> None:
        """Atomic: a reader sees the old file or the new one. Raises OSError on a full disk."""
        if not self.writes:
            return
        text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
        write_whole(place, text + "\n")

    def update_manifest(self, values: Mapping[str, Any]) -> None:
        """Add to run.json; objects there are added to, everything else is replaced."""
        before = self.read_json(self.manifest) or {}
        for key, value in values.items():
            old = before.get(key)
            if isinstance(old, dict) and isinstance(value, Mapping):
                value = {**old, **value}
            before[key] = value
        self.write_json(self.manifest, before)

    def read_json(self, place: Path) -> dict[str, Any] | None:
        """None where there is no such file."""
        try:
            content: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return content

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out as long as this one lives, and room for its last word.

        Raises Busy when one is in, OSError on a full disk.
        """
        if not self.writes:
            yield
            return
        with (self.root / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as problem:
                raise Busy(f"Another process is at work in {self.root}.") from problem
            keep_room(self.reserve)
            yield
