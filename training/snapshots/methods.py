"""How each training method takes a snapshot: its files, and what ties and marks mean to it."""

from collections.abc import Collection
from typing import Any

from training.engine.spec import Method

KINDS = ("rankings", "demonstrations")  # of a snapshot's files


def kinds_of(method: Method) -> tuple[str, ...]:
    """The files that a method reads."""
    return tuple(kind for kind in KINDS if kind in method.facts.reads)


def data_of(method: Method, files: Collection[str]) -> dict[str, Any] | None:
    """The engine's `data` of a run on a snapshot; None if it has nothing for the method.

    files: the names of the snapshot's files; paths are relative to its folder.
    """
    kinds = kinds_of(method)
    found: dict[str, Any] = {}
    for kind in kinds:
        for side, name in (("train", kind), ("held_out", f"evaluation_{kind}")):
            if (path := f"{side}/{kind}.jsonl") in files:
                found[name] = [path]
    if not any(kind in found for kind in kinds):
        return None
    return {**found, **method.facts.settings}
