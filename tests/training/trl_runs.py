"""Runs of TRL's trainers on a tiny model, in a folder as the process has it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.training.tiny import save_tiny
from training.engine.memory.estimate import MemoryEstimate
from training.engine.process import RunFolder, StopRequest
from training.engine.spec import RunSpec, parse_spec


class Told:
    """A reporter that remembers. stop_after: asks the run to stop after this step."""

    def __init__(self, stop: StopRequest | None = None, stop_after: int | None = None) -> None:
        self.lines: list[dict[str, Any]] = []
        self.phases: list[str] = []
        self.warnings: list[str] = []
        self._stop = stop
        self._stop_after = stop_after

    def phase(self, name: str, total: int | None = None) -> None:
        self.phases.append(name)

    def progress(self, done: int) -> None:
        if self._stop is not None and done == self._stop_after:
            self._stop.request()

    def metrics(self, values: Any) -> None:
        self.lines.append(dict(values))

    def memory(self, needed: MemoryEstimate, model: Any) -> None:
        self.needed = needed

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def column(self, name: str) -> list[float]:
        """A metric, line by line where there is one."""
        return [line[name] for line in self.lines if name in line]


def model_folder(root: Path) -> Path:
    return save_tiny("llama", root / "model")


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def told_by(
    method: Callable[..., None], spec: RunSpec, folder: RunFolder, *, stop_after: int | None = None
) -> Told:
    """Run a method in a folder, which may have checkpoints; what it told its reporter."""
    stop = StopRequest()
    told = Told(stop, stop_after)
    folder.root.mkdir(exist_ok=True)
    method(spec, folder, told, stop)
    return told


def make_spec(method: str, model: Path | str, data: dict[str, Any], **sections: Any) -> RunSpec:
    """fp32, a small adapter, a learning rate at which two steps are seen; sections are added to."""
    values: dict[str, Any] = {
        "method": method,
        "base": {"model": str(model), "precision": "fp32"},
        "lora": {"r": 4},
        "data": {"held_out_fraction": 0.0, **data},
        "optimizer": {"lr": 0.01, "warmup_ratio": 0.0, "schedule": "constant"},
        "training": {"max_steps": 2, "groups_per_step": 2, "tokens_per_pack": 4096},
    }
    for name, section in sections.items():
        old = values.get(name)
        values[name] = {**old, **section} if isinstance(old, dict) else section
    return parse_spec(values)
