"""What a model is, whatever its folder is called: a hash of its config and weights.

Hashing 140 GB takes minutes, so the hash of a file is remembered with its size and the time of its
last change. It is remembered in the user's cache folder: a model folder may be read-only.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from training.engine.errors import SpecError
from training.engine.whole import write_whole

CONFIG = "config.json"
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")  # in the order in which transformers looks
# A file changed this recently may change again without another time stamp.
_FRESH_NS = 2_000_000_000


def cache_folder() -> Path:
    """For what can be made again: $XDG_CACHE_HOME/prefloop, or ~/.cache/prefloop."""
    parent = os.environ.get("XDG_CACHE_HOME")
    return (Path(parent) if parent else Path.home() / ".cache") / "prefloop"


def content_hash(folder: Path) -> str:
    """sha256 (hex) over config.json and the weight files, with their names.

    The tokenizer is no part of it: what is cached under this hash is keyed by token ids.
    Raises SpecError when the folder holds no model, OSError when it cannot be read.
    """
    digest = hashlib.sha256()
    for path in (folder / CONFIG, *weight_files(folder)):
        digest.update(f"{path.name} {file_hash(path)}\n".encode())
    return digest.hexdigest()


def weight_files(folder: Path) -> list[Path]:
    """Raises SpecError when the folder is no model folder."""
    if not (folder / CONFIG).is_file():
        raise SpecError(
            f"base.model: the folder {folder} holds no model, for it has no {CONFIG}.",
            advice=_advice(folder),
        )
    for pattern in WEIGHTS:
        found = sorted(folder.glob(pattern))
        if found:
            return found
    raise SpecError(
        f"base.model: the folder {folder} has no weights (*.safetensors).",
        advice="Copy or download the model again.",
    )


def _advice(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        return "It is an adapter: name it as parent.adapter, and its base as base.model."
    if any(folder.glob("*.gguf")):
        return "It has a GGUF file: give the path of that file."
    return "Give the folder that has config.json and *.safetensors."


def file_hash(path: Path) -> str:
    """sha256 (hex) of a file, computed only when it changed since the last time."""
    stat = path.stat()
    place = str(path.resolve())
    state = [place, stat.st_size, stat.st_mtime_ns]
    note = cache_folder() / "hashes" / hashlib.sha256(place.encode()).hexdigest()
    known = _read(note)
    if known is not None and known[:3] == state:
        return str(known[3])
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if time.time_ns() - stat.st_mtime_ns > _FRESH_NS:
        _write(note, [*state, found])
    return found


def _read(note: Path) -> list[object] | None:
    try:
        known = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None
    return known if isinstance(known, list) and len(known) == 4 else None


def _write(note: Path, entry: list[object]) -> None:
    # Without a place to remember it, the hash is computed again next time.
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        write_whole(note, json.dumps(entry))
