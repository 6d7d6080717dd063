"""How each training method takes a snapshot: its files, and what ties and marks mean to it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Mapping:
    """kinds: the files it reads. settings: of the engine's `data`. The others are for people."""

    kinds: tuple[str, ...]
    settings: dict[str, str]
    ties: str
    strength: str
    all_bad: str


_NO_RANKINGS = "not read"
_ONLY_PROMPTS = "not read: the method answers the prompts itself"
METHODS = {
    "sft": Mapping(("demonstrations",), {}, _NO_RANKINGS, _NO_RANKINGS, _NO_RANKINGS),
    "reward": Mapping(
        ("rankings",),
        {"ties": "soft", "unacceptable": "keep"},
        "target 0.5: both are equally good",
        "the margin between the two rewards",
        "kept: the less bad is still the better one",
    ),
    "dpo": Mapping(
        ("rankings",),
        {"ties": "drop", "unacceptable": "drop_winners"},
        "left out: neither is to become likelier",
        "not used",
        "left out: no unacceptable answer is to become likelier",
    ),
    "kto": Mapping(
        ("rankings",),
        {"ties": "drop", "unacceptable": "drop_winners"},
        "each answer by its own mark; where nothing was marked, ties are left out",
        "not used",
        "undesirable, all of them",
    ),
    "rloo": Mapping(("rankings", "demonstrations"), {}, *[_ONLY_PROMPTS] * 3),
    "grpo": Mapping(("rankings", "demonstrations"), {}, *[_ONLY_PROMPTS] * 3),
    "ppo": Mapping(("rankings", "demonstrations"), {}, *[_ONLY_PROMPTS] * 3),
}


def data_of(method: str, files: Collection[str]) -> dict[str, Any] | None:
    """The engine's `data` of a run on a snapshot; None if it has nothing for the method.

    files: the names of the snapshot's files; paths are relative to its folder.
    """
    mapping = METHODS[method]
    found: dict[str, Any] = {}
    for kind in mapping.kinds:
        for side, name in (("train", kind), ("held_out", f"evaluation_{kind}")):
            if (path := f"{side}/{kind}.jsonl") in files:
                found[name] = [path]
    if not any(kind in found for kind in mapping.kinds):
        return None
    return {**found, **mapping.settings}
