"""Adapter folders as the training engine writes them, read without PyTorch.

The rules of training/engine/adapters/files.py: adapter.json holds the sha256 of every file and one
over those, which is the content hash and so the adapter's name.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.errors import SwapRefused

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
CARD = "adapter.json"
CARD_KEYS = ("base", "base_name", "method", "template", "spec", "files", "sha256")
REWARD_HEAD = "reward_head.safetensors"
HASH_SHOWN = 16  # digits of the content hash in a served name
HEADER_LIMIT = 64 * 2**20  # bytes; no honest header of weights is as long
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM takes as --max-lora-rank


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """A folder whose files are whole. content_hash: sha256 over all of them but the card."""

    folder: Path
    content_hash: str
    card: Mapping[str, Any]
    rank: int


def read_adapter(folder: Path) -> AdapterFiles:
    """Check every file against the card. Raises SwapRefused when one is missing or changed."""
    card = _card(folder)
    try:
        for name, expected in card["files"].items():
            if Path(name).name != name or not (folder / name).is_file():
                raise _broken(folder, f"{name} is missing")
            if _sha256(folder / name) != expected:
                raise _broken(folder, f"{name} is cut off or was changed")
        if _combined(card["files"]) != card["sha256"]:
            raise _broken(folder, f"{CARD} was changed")
        rank = _rank(json.loads((folder / CONFIG).read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as problem:
        raise _broken(folder, f"it cannot be read ({problem})") from problem
    return AdapterFiles(folder, card["sha256"], card, rank)


def copy_adapter(files: AdapterFiles, destination: Path) -> None:
    """Put a checked copy at `destination`, whole or not at all. Raises SwapRefused.

    A good copy that is there stays: replicas may be reading it.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with _alone_in(destination.parent):
        if not _is_copy(destination, files):
            _copy(files, destination)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Other processes that copy into the folder wait."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_copy(folder: Path, files: AdapterFiles) -> bool:
    try:
        return read_adapter(folder).content_hash == files.content_hash
    except SwapRefused:
        return False


def _copy(files: AdapterFiles, destination: Path) -> None:
    with _whole(destination) as draft:
        for name in (*files.card["files"], CARD):
            shutil.copyfile(files.folder / name, draft / name)
        if read_adapter(draft).content_hash != files.content_hash:
            raise _broken(files.folder, "it was changed while it was copied")


def write_zero(like: AdapterFiles, parent: Path) -> AdapterFiles:
    """An adapter of the same shapes that changes nothing, in a folder named by its hash.

    All its weights are zero, so the header of the weights is kept and zero bytes follow.
    """
    header = _header(like.folder)
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".zero.") as made:
        draft = Path(made)
        with (draft / WEIGHTS).open("wb") as file:
            file.write(header)
            file.truncate((like.folder / WEIGHTS).stat().st_size)
        # Zeros of one shape are alike: what sets them apart is the base in their configuration.
        config = json.loads((like.folder / CONFIG).read_bytes())
        config["base_model_name_or_path"] = like.card["base_name"]
        (draft / CONFIG).write_text(json.dumps(config, indent=2))
        hashes = {name: _sha256(draft / name) for name in (WEIGHTS, CONFIG)}
        content_hash = _combined(hashes)
        kept = {key: like.card[key] for key in ("base", "base_name", "template")}
        card = {**kept, "method": "zero", "spec": {}, "files": hashes, "sha256": content_hash}
        (draft / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
        copy_adapter(read_adapter(draft), parent / content_hash)
    return read_adapter(parent / content_hash)


def _header(folder: Path) -> bytes:
    """Of the weights, with its length before it. Raises SwapRefused."""
    with (folder / WEIGHTS).open("rb") as file:
        begin = file.read(8)
        length = int.from_bytes(begin, "little")
        if length > HEADER_LIMIT:
            raise _broken(folder, f"{WEIGHTS} has no header")
        return begin + file.read(length)


@contextmanager
def _whole(destination: Path) -> Iterator[Path]:
    """A draft beside `destination` that takes its place if the block ends well."""
    draft = Path(tempfile.mkdtemp(dir=destination.parent, prefix=".draft."))
    try:
        yield draft
        draft.chmod(0o755)
        shutil.rmtree(destination, ignore_errors=True)
        draft.rename(destination)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD).read_bytes())
    except OSError as problem:
        raise _broken(folder, f"it has no {CARD}, so Prefloop did not write it") from problem
    except ValueError as problem:
        raise _broken(folder, f"{CARD} is cut off or was changed") from problem
    if not isinstance(card, dict) or any(key not in card for key in CARD_KEYS):
        raise _broken(folder, f"{CARD} is not complete")
    if not isinstance(card["files"], dict) or not {WEIGHTS, CONFIG} <= card["files"].keys():
        raise _broken(folder, f"{CARD} is not complete")
    return card


def _rank(config: Mapping[str, Any]) -> int:
    return max(int(rank) for rank in (config["r"], *(config.get("rank_pattern") or {}).values()))


def _broken(folder: Path, why: str) -> SwapRefused:
    return SwapRefused(
        f"The adapter {folder.name} cannot be used: {why}. "
        "Copy it again from where it was trained.",
        permanent=True,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _combined(files: Mapping[str, str]) -> str:
    lines = "".join(f"{name} {files[name]}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()
