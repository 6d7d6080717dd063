"""Reads the definitions of docker/ as Compose and a builder read them, as far as tests need."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from annotate.environment import CHECKOUT

DOCKER = CHECKOUT / "docker"
# ${NAME:-default}, ${NAME:?} or an escaped dollar.
REFERENCE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::-(?P<default>[^}]*)|:\?)\}")
Service = dict[str, Any]


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, its lines joined; `stage` is the name after AS."""

    stage: str
    word: str
    text: str


def references() -> dict[str, str | None]:
    """The variables that compose.yaml reads, with their defaults; None: it must be given."""
    found: dict[str, str | None] = {}
    for match in REFERENCE.finditer((DOCKER / "compose.yaml").read_text()):
        if match["name"]:
            assert found.setdefault(match["name"], match["default"]) == match["default"], match
    return found


def interpolated(value: Any) -> Any:
    """The parsed value with every variable in it at its default, or given if it has none."""
    if isinstance(value, dict):
        return {key: interpolated(one) for key, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one) for one in value]
    return REFERENCE.sub(_replacement, value) if isinstance(value, str) else value


def _replacement(match: re.Match[str]) -> str:
    if match["name"] is None:
        return "$"
    default: str | None = match["default"]
    return f"{match['name'].lower()}-is-given" if default is None else default


@lru_cache(maxsize=1)
def compose() -> dict[str, Any]:
    """compose.yaml with every variable at its default, merges and aliases resolved."""
    loaded: dict[str, Any] = interpolated(yaml.safe_load((DOCKER / "compose.yaml").read_text()))
    return loaded


def services() -> dict[str, Service]:
    found: dict[str, Service] = compose()["services"]
    return found


def example_environment() -> dict[str, str]:
    """Names and values of .env.example."""
    lines = (DOCKER / ".env.example").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def dockerfile() -> list[Instruction]:
    text = (DOCKER / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    stage, found = "", []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            stage = rest.split(" AS ")[1]
        found.append(Instruction(stage, word, rest.strip()))
    return found


def copied(stage: str) -> list[tuple[str, list[str], str]]:
    """(stage copied from or "", sources, destination) of each COPY of a stage."""
    found = []
    for instruction in dockerfile():
        if (instruction.stage, instruction.word) == (stage, "COPY"):
            words = instruction.text.split()
            origin = words.pop(0).split("=")[1] if words[0].startswith("--from=") else ""
            found.append((origin, words[:-1], words[-1]))
    return found


def packages(lock: Path) -> dict[str, str]:
    """Names and versions of a lock file."""
    lines = lock.read_text().splitlines()
    pairs = (line.partition("==") for line in lines if line and not line.startswith("#"))
    return {name: version for name, _, version in pairs}
