"""Processes of an earlier supervisor that was killed before it could stop them."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Group:
    """A child's process group: its number, when its leader started, which signal ends it."""

    name: str
    number: int
    started: float
    stop_signal: int


def group(name: str, pid: int, stop_signal: signal.Signals) -> Group | None:
    """The group that process leads; None when it has ended already."""
    try:
        return Group(name, pid, psutil.Process(pid).create_time(), int(stop_signal))
    except psutil.NoSuchProcess:
        return None


def remember(file: Path, groups: Iterable[Group]) -> None:
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps([asdict(one) for one in groups]))
    draft.replace(file)


def read(file: Path) -> list[Group]:
    return [Group(**row) for row in json.loads(file.read_text())]


def end(file: Path, places: tuple[Path, ...], patience: float = 15.0) -> list[str]:
    """End what is left of the groups remembered in `file`; returns their names.

    places: a process counts as left over only when it works in one of these folders, because
    the system may have given its number to a stranger. patience: seconds before it is killed.
    """
    if not file.exists():
        return []
    groups = read(file)
    left = {one: _members(one, places) for one in groups}
    for one, members in left.items():
        for process in members:
            _send(process, one.stop_signal if process.pid == one.number else signal.SIGTERM)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and any(_members(one, places) for one in groups):
        time.sleep(0.1)
    for one in groups:
        for process in _members(one, places):
            _send(process, signal.SIGKILL)
    file.unlink()
    return [one.name for one, members in left.items() if members]


def _members(one: Group, places: tuple[Path, ...]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) != one.number or process.create_time() < one.started - 1:
                continue
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            folder = Path(process.cwd())
        except (psutil.Error, OSError):
            continue  # it ended meanwhile, or is another user's
        if any(folder.is_relative_to(place) for place in places):
            found.append(process)
    return found


def _send(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
