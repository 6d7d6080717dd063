"""What a run will take of memory, as the engine estimates it in a process of its own."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotate.environment import CHECKOUT
from training.runs.assembly import located
from training.runs.child import environment_of
from training.runs.log_tail import last_line

# Importing PyTorch takes most of it; a busy machine is slow at that.
WAIT_S = 90.0
MB = 2**20
Estimate = dict[str, Any]


class NoEstimate(Exception):
    """The text says why, and what to do."""


class WrongBase(Exception):
    """The engine cannot train this base; the text says why."""


def estimate(spec: Mapping[str, Any], place: str, rollouts: str = "") -> Estimate:
    """parts, total_mb, weights_mb, inference_mb; device, and what is free of it now (MB of 2**20);
    layers: names of the base's linear layers.

    spec: of `assemble`. place, rollouts: as in `located`. Raises NoEstimate and WrongBase.
    """
    with tempfile.TemporaryDirectory(prefix="prefloop-memory-") as folder:
        file = Path(folder) / "spec.json"
        file.write_text(json.dumps(located(spec, place, rollouts)))
        found = _asked(file)
        return {**with_room(in_mb(found)), "layers": found.get("layers", [])}


def _asked(file: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "training.engine.memory", str(file), "--json"]
    try:
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            env={**environment_of(), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoEstimate("The machine is too busy to estimate the memory. Try again.") from None
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    if done.returncode == 2:
        raise WrongBase(" ".join(done.stderr.split("\n")[-3:]).strip())
    if "No module named" in done.stderr:
        raise NoEstimate(
            "The memory cannot be estimated on this machine, which has no PyTorch. It is shown "
            "once the run has started."
        )
    raise NoEstimate(f"The memory could not be estimated: {last_line(done.stderr)}")


def in_mb(found: Mapping[str, Any]) -> Estimate:
    """found: the engine's `MemoryEstimate` as JSON, with or without the device."""
    rows = found["rows"]
    weights = sum(row["bytes"] for row in rows if row["part"].startswith("weights"))
    available = found.get("available")
    return {
        "parts": [
            {"name": row["part"], "mb": _mb(row["bytes"]), "when": row["when"]} for row in rows
        ],
        "total_mb": _mb(found["training"]),
        "weights_mb": _mb(weights),
        "inference_mb": _mb(found["inference"]),
        "device": found.get("device", ""),
        "available_mb": None if available is None else _mb(available),
    }


def with_room(known: Estimate) -> Estimate:
    """Whether it fits in what is free."""
    available = known["available_mb"]
    return {**known, "fits": None if available is None else known["total_mb"] <= available}


def _mb(size: int) -> float:
    return round(size / MB, 1)
