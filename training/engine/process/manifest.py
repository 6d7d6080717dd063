"""run.json: what a run was made of, so that it can be made again."""

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from training.engine.errors import SpecError
from training.engine.process.folder import RunFolder, now
from training.engine.process.paths import data_files
from training.engine.spec import DATA_FILES, RunSpec, parse_spec

PACKAGES = ("torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate")
GIT_TIMEOUT_S = 10
# What may change between two starts: memory, speed and what is written, not what is learned.
FREE = (
    ("base", "gradient_checkpointing"),
    ("training", "tokens_per_pack"),
    ("training", "checkpoint_every"),
    ("training", "keep_checkpoints"),
    ("training", "log_every"),
    ("training", "evaluate_every"),
    ("dpo", "reference_cache"),
    ("ppo", "server"),
    ("merge",),
    ("evaluation", "answers"),
    ("evaluation", "max_new_tokens"),
    ("evaluation", "learning_curve"),
    # Their content is compared, wherever they lie.
    *(("data", field) for field in DATA_FILES),
    ("data", "general_text"),
)


def begin(folder: RunFolder, spec: RunSpec, data: dict[str, Any]) -> None:
    """Write run.json, or add this start to the one that is there.

    spec: as it was written. data: of `data_identity`. Raises SpecError when checkpoints belong to
    another spec or to other data: going on from them would give a run that nobody described.
    """
    before = folder.read_json(folder.manifest)
    if before and _has_checkpoints(folder):
        _refuse_changes(before, spec, data)
    folder.update_manifest(
        {
            "started": (before or {}).get("started", now()),
            "last_start": now(),
            "starts": (before or {}).get("starts", 0) + 1,
            "spec": spec.model_dump(mode="json"),
            "seeds": {"training": spec.training.seed},
            "data": data,
            "versions": versions(),
            "git": git_revision(Path(__file__).parent),
            "device": device(),
        }
    )


def is_finished(folder: RunFolder, spec: RunSpec, data: dict[str, Any]) -> bool:
    """Whether exactly this spec has been run on these data to its end."""
    before = folder.read_json(folder.manifest) or {}
    result = folder.read_json(folder.result) or {}
    same = _as_now(before.get("spec")) == spec.model_dump(mode="json")
    same = same and before.get("data") == data
    return same and result.get("state") == "finished"


def data_identity(folder: RunFolder, spec: RunSpec) -> dict[str, Any]:
    """Size and sha256 of every data file, and one sha256 over them all in the spec's order."""
    files = []
    whole = hashlib.sha256()
    for path in data_files(spec.data):
        place = folder.resolve(path)
        with place.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(bytes.fromhex(digest))
        files.append({"path": path, "bytes": place.stat().st_size, "sha256": digest})
    return {"sha256": whole.hexdigest(), "files": files}


def versions() -> dict[str, str | None]:
    """None for a package that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def git_revision(place: Path) -> dict[str, Any] | None:
    """Commit of the code that runs, and whether it was changed since; None without git."""
    git = shutil.which("git")
    if git is None:
        return None
    commit = _git(git, place, "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _git(git, place, "status", "--porcelain", "--untracked-files=no")
    return {"revision": commit, "changed": bool(changed)}


def _git(git: str, place: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            [git, "-C", str(place), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def device() -> dict[str, Any]:
    """What the run computes on. Memory in MB (2**20 bytes)."""
    common = {"machine": platform.machine(), "processes": int(os.environ.get("WORLD_SIZE", "1"))}
    if not torch.cuda.is_available():
        threads = torch.get_num_threads()
        return {"type": "cpu", "threads": threads, "cores": os.cpu_count(), **common}
    properties = torch.cuda.get_device_properties(0)
    return {
        "type": "cuda",
        "name": properties.name,
        "count": torch.cuda.device_count(),
        "memory_mb": properties.total_memory // 2**20,
        "cuda": torch.version.cuda,
        **common,
    }


def _has_checkpoints(folder: RunFolder) -> bool:
    return folder.checkpoints.is_dir() and any(folder.checkpoints.glob("step-*"))


def _refuse_changes(before: Mapping[str, Any], spec: RunSpec, data: Mapping[str, Any]) -> None:
    changes = _changes(_as_now(before.get("spec", {})), spec.model_dump(mode="json"))
    if before.get("data", {}).get("sha256") != data["sha256"]:
        changes.append("data: the content of the files is another one")
    if changes:
        raise SpecError(
            "The checkpoints in this folder belong to another run:\n" + "\n".join(changes),
            advice="Restore the spec and the data, or start the run in a new folder.",
        )


def _as_now(spec: Any) -> Any:
    """As this version reads it: settings that came since have their defaults."""
    try:
        return parse_spec(spec).model_dump(mode="json")
    except SpecError:
        return spec


def _changes(before: Any, after: Any, path: tuple[str, ...] = ()) -> list[str]:
    """What differs, a line each, but for what may change."""
    if path in FREE or before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted(before.keys() | after.keys())
        return [
            line
            for name in names
            for line in _changes(before.get(name), after.get(name), (*path, name))
        ]
    return [f"{'.'.join(path)}: it was {before!r}, now it is {after!r}"]
