"""What each service of the compose file sees below VAR_DIR."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from tests.docker.definitions import services

VAR = PurePosixPath("/srv/prefloop/var")


@dataclass(frozen=True)
class Mount:
    """A volume at a path below VAR_DIR."""

    volume: str
    path: PurePosixPath
    writable: bool


def mounts(service: str) -> list[Mount]:
    """In the order of the file."""
    found = []
    for line in services()[service].get("volumes", []):
        volume, path, *options = line.split(":")
        if PurePosixPath(path).is_relative_to(VAR):
            below = PurePosixPath(path).relative_to(VAR)
            found.append(Mount(volume, below, "ro" not in options))
    return found


def mount_of(service: str, folder: str) -> Mount | None:
    """The mount that the folder lies in."""
    path = PurePosixPath(folder)
    return next((one for one in mounts(service) if path.is_relative_to(one.path)), None)


def services_of(role: str) -> list[str]:
    """The trainer's are one for each kind of machine."""
    return [name for name in services() if name == role or name.startswith(f"{role}-")]
