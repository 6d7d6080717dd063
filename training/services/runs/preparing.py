"""A run's folder as the engine wants it: spec, data of the snapshot, adapters, base."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.core.files.storage import storages

from annotate.errors import Conflict
from training import adapter_store, material
from training.models import TrainingRun
from training.runs.assembly import (
    ADAPTERS,
    CHAT_TEMPLATE,
    DATA,
    GENERAL_TEXT,
    adapters_of,
    files_of,
    located,
)
from training.runs.base_model import name_of
from training.runs.folder import RunFiles

PIECE = 4 * 2**20  # bytes

Alive = Callable[[], None]


def prepare(run: TrainingRun, folder: RunFiles, place: str, alive: Alive) -> None:
    """Put everything into the folder that is not there yet; safe to run twice.

    place: where the base lies. alive: is called again and again. Raises Conflict in words, OSError
    when the disk is full.
    """
    if run.spec["base"]["model"] != (base := name_of(settings.TRAINING_MODEL)):
        raise Conflict(
            f"The run is for the base {run.spec['base']['model']}, and this worker trains on "
            f"{base}. Set TRAINING_MODEL, or create a new run."
        )
    folder.root.mkdir(parents=True, exist_ok=True)
    for path in files_of(run.spec):
        _copy_data(run, path, folder, alive)
    if run.spec["data"].get("general_text") == GENERAL_TEXT:
        (folder.root / DATA).mkdir(exist_ok=True)
        shutil.copyfile(material.GENERAL_TEXT, folder.root / GENERAL_TEXT)
    for content_hash in adapters_of(run.spec):
        _copy_adapter(content_hash, folder.root / ADAPTERS / content_hash)
        alive()
    if run.spec["base"].get("chat_template"):
        _copy_template(folder)
    spec = located(run.spec, place, settings.TRAINING_ROLLOUTS_URL)
    _write_whole(folder.spec, json.dumps(spec, indent=2, ensure_ascii=False) + "\n")


def _copy_template(folder: RunFiles) -> None:
    if not settings.CHAT_TEMPLATE:
        raise Conflict(
            "The run is for a chat template of its own, and this worker has none. "
            "Set CHAT_TEMPLATE, or create a new run."
        )
    shutil.copyfile(settings.CHAT_TEMPLATE, folder.root / CHAT_TEMPLATE)


def _copy_data(run: TrainingRun, path: str, folder: RunFiles, alive: Alive) -> None:
    """A file of the snapshot, checked against the manifest's hash."""
    name = path.removeprefix(f"{DATA}/")
    expected = (run.snapshot.manifest or {})["files"][name]["sha256"]
    place = folder.root / path
    if place.is_file() and _sha256(place) == expected:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}.draft")
    digest = hashlib.sha256()
    try:
        stored = storages["snapshots"].open(f"{run.snapshot.content_hash}/{name}")
    except FileNotFoundError:
        raise _broken(run, name, "is not in the storage any more") from None
    with stored as source, draft.open("wb") as copy:
        while piece := source.read(PIECE):
            digest.update(piece)
            copy.write(piece)
            alive()
    if digest.hexdigest() != expected:
        draft.unlink()
        raise _broken(run, name, "was changed in the storage")
    draft.replace(place)


def _copy_adapter(content_hash: str, place: Path) -> None:
    source = adapter_store.local_folder(content_hash)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(source, place)


def _broken(run: TrainingRun, name: str, why: str) -> Conflict:
    return Conflict(
        f"The file {name} of snapshot {run.snapshot.number} {why}. "
        "Build the snapshot again and create a new run."
    )


def _write_whole(place: Path, text: str) -> None:
    draft = place.with_name(f".{place.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(place)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
