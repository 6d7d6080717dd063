"""The model that adapters are trained on: what it is called, where it lies, how large it is."""

import json
import math
import re
from pathlib import Path

from annotate.environment import BUNDLED_MODEL

_SIZE = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)([bm])(?![a-z])", re.IGNORECASE)
HEADER_LIMIT = 64 * 2**20  # bytes; no honest header is as long


def name_of(model: str) -> str:
    """What the served model is called: a folder's own name, or the hub id as it is."""
    path = Path(model).expanduser()
    return path.name if path.is_absolute() or path.is_dir() else model


def place_of(model: str, models: Path) -> str | None:
    """What the engine is to load: a folder, or a hub id.

    models: the folder of what was unpacked or fetched. None: the bundled model must be unpacked
    into it first.
    """
    given = Path(model).expanduser()
    for folder in (given, models / model):
        if folder.exists():
            return str(folder.absolute())
    return None if model == BUNDLED_MODEL else model


def weights_b(model: str, place: str | None) -> float | None:
    """Billions of weights, by the headers of its files or else by its name; None if unknown."""
    folder = Path(place) if place else None
    if folder is not None and folder.is_dir():
        sizes = [_parameters(file) for file in sorted(folder.glob("*.safetensors"))]
        if sizes:
            return sum(sizes) / 1e9
    found = _SIZE.search(name_of(model))
    if found is None:
        return None
    return float(found[1]) / (1 if found[2].lower() == "b" else 1000)


def _parameters(file: Path) -> int:
    """The numbers in a safetensors file, by its header; 0 for a file that is none."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > HEADER_LIMIT:
            return 0
        try:
            header = json.loads(opened.read(length))
        except ValueError:
            return 0
    return sum(math.prod(one["shape"]) for name, one in header.items() if name != "__metadata__")
