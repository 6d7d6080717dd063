"""Several children under one supervisor: order of the stop, failed starts, leftovers."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from annotate.launch import leftovers
from annotate.launch.child import Spec
from annotate.launch.refusal import Refusal
from annotate.launch.supervisor import Stopped, Supervisor
from annotate.launch.terminal import Terminal
from tests.patience import PATIENCE_S

SERVE = [sys.executable, "-c", "import time; time.sleep(99)"]


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(Terminal(tmp_path / "supervisor.log"), tmp_path / "children.json")


def toy(
    folder: Path, name: str, program: str = "import time; time.sleep(99)", order: int = 0
) -> Spec:
    return Spec(
        name=name,
        commands=[[sys.executable, "-c", program]],
        log=folder / f"{name}.log",
        folder=folder,
        probe=lambda: True,
        stop_within=5,
        stop_order=order,
    )


def test_children_stop_in_their_order(supervisor: Supervisor, tmp_path: Path) -> None:
    names = [("postgres", 5), ("web", 1), ("vllm", 3), ("beat", 0)]
    running = [supervisor.add(toy(tmp_path, name, order=order)) for name, order in names]
    supervisor.until_ready(*running)

    supervisor.stop()

    lines = (tmp_path / "supervisor.log").read_text().splitlines()
    stopped = [line.split()[5] for line in lines if " stopped in " in line]
    assert stopped == ["beat", "web", "vllm", "postgres"]
    assert all(child.poll() is not None for child in running)
    assert not (tmp_path / "children.json").exists()


def test_a_child_that_ends_during_the_start_is_one_line(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    spec = toy(tmp_path, "valkey", "raise SystemExit('write error: No space left on device')")
    unready = Spec(**{**vars(spec), "probe": lambda: False})

    with pytest.raises(Refusal, match="the disk is full: free some space") as raised:
        supervisor.until_ready(supervisor.add(unready))

    assert "\n" not in str(raised.value)


def test_a_failed_command_says_why(supervisor: Supervisor, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import nothing_of_that_name"]

    with pytest.raises(Refusal, match="package nothing_of_that_name is missing"):
        supervisor.run("prepare", command, tmp_path / "prepare.log")


def test_a_stop_during_the_start_is_obeyed(supervisor: Supervisor, tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    supervisor.listen()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            supervisor.run("prepare", SERVE, tmp_path / "prepare.log")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_full_disk_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full says of every write that the disk is full."""
    full = io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True)
    monkeypatch.setattr(sys, "stdout", full)
    terminal = Terminal(Path("/dev/full"))
    remembered = tmp_path / "children.json"
    remembered.with_suffix(".new").symlink_to("/dev/full")
    supervisor = Supervisor(terminal, remembered)

    child = supervisor.add(toy(tmp_path, "web"))
    supervisor.until_ready(child)

    assert not terminal.hung_up()
    assert not remembered.exists()
    remembered.with_suffix(".new").unlink()
    supervisor._tick()
    assert [one.name for one in leftovers.read(remembered)] == ["web"]
    supervisor.stop()


def test_what_a_killed_supervisor_left_is_ended(tmp_path: Path) -> None:
    """The child ignores the end of its parent, as a hanging one would."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); "
    deaf += "time.sleep(99)"
    orphan = subprocess.Popen(
        [sys.executable, "-c", deaf],
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    assert orphan.stdout is not None
    orphan.stdout.readline()
    file = tmp_path / "children.json"
    group = leftovers.group("toy", orphan.pid, signal.SIGTERM)
    assert group is not None
    leftovers.remember(file, [group])

    assert leftovers.end(file, (tmp_path,), patience=0.5) == ["toy"]

    assert orphan.wait(PATIENCE_S) == -signal.SIGKILL
    assert not file.exists()


def test_a_stranger_with_the_same_number_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(SERVE, cwd="/", start_new_session=True)
    file = tmp_path / "children.json"
    started = psutil.Process(stranger.pid).create_time()
    leftovers.remember(file, [leftovers.Group("toy", stranger.pid, started, signal.SIGTERM)])

    assert leftovers.end(file, (tmp_path,), patience=0.5) == []

    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
