"""A supervised process: ready, crashed, restarted, stopped, and nothing left behind."""

import errno
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from annotate.launch import child as children
from annotate.launch.child import Child, Spec, State
from tests.patience import PATIENCE_S

SERVE = "import time\nwhile True: time.sleep(0.05)"
Make = Callable[..., Child]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, said: list[str]) -> Iterator[Make]:
    """Start a child that runs the given Python programs, one after the other."""
    made: list[Child] = []

    def start(*programs: str, **fields: Any) -> Child:
        commands = [[sys.executable, "-c", textwrap.dedent(program)] for program in programs]
        spec = Spec(name="toy", commands=commands, log=tmp_path / "toy.log", probe=lambda: True)
        spec = replace(spec, **{"stop_within": 5.0, **fields})
        one = Child(spec, said.append)
        made.append(one)
        one.start()
        return one

    yield start
    for one in made:
        one.kill()


def until(condition: Callable[[], bool], *ticking: Child) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        for one in ticking:
            one.tick()
        time.sleep(0.01)


def pid(one: Child) -> int:
    assert one.process is not None
    return one.process.pid


def test_it_is_ready_when_its_probe_says_so(make: Make, tmp_path: Path, said: list[str]) -> None:
    mark = tmp_path / "up"
    one = make(
        f"import pathlib, time\ntime.sleep(0.2)\npathlib.Path({str(mark)!r}).touch()\n{SERVE}",
        probe=mark.exists,
        probe_every=0.01,
    )

    until(lambda: one.state is State.READY, one)

    assert len(said) == 1
    assert re.match(r"toy is ready after \d+\.\d s", said[0])


def test_kill_9_is_followed_by_a_restart(make: Make, said: list[str]) -> None:
    one = make(SERVE)
    until(lambda: one.state is State.READY, one)
    first = pid(one)

    os.kill(pid(one), signal.SIGKILL)
    until(lambda: one.state is State.WAITING, one)
    until(lambda: one.state is State.READY, one)

    assert pid(one) != first
    assert "toy was ended by SIGKILL" in said[1]
    assert "starting it again in 1 s" in said[1]


def test_the_delay_doubles_up_to_a_bound(
    make: Make, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make("raise SystemExit('nothing works')", probe=lambda: False)
    monkeypatch.setattr(children, "LONGEST_DELAY", 4.0)
    while one.failures < 4:
        until(lambda: one.state is State.WAITING, one)
        one._again_at = 0
        one.tick()

    delays = [line.rsplit(" in ", 1)[1] for line in said]
    assert delays == ["1 s", "2 s", "4 s", "4 s"]
    assert "nothing works" in said[0], "the reason is the log's last line"


def test_long_service_forgets_earlier_crashes(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "STABLE_AFTER", 0.2)
    one = make(SERVE)
    one.failures = 3

    until(lambda: one.failures == 0, one)


def test_a_crash_ends_what_the_process_had_started(make: Make, tmp_path: Path) -> None:
    note = tmp_path / "engine"
    one = make(
        f"""
        import pathlib, subprocess, sys, time
        engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"])
        pathlib.Path({str(note)!r}).write_text(str(engine.pid))
        time.sleep(99)
        """
    )
    until(lambda: note.exists() and note.read_text() != "", one)
    engine = psutil.Process(int(note.read_text()))

    os.kill(pid(one), signal.SIGKILL)
    until(lambda: one.failures == 1, one)

    until(lambda: not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE)


def test_it_stops_when_asked(make: Make, said: list[str]) -> None:
    one = make(SERVE)
    until(lambda: one.state is State.READY, one)

    one.ask_to_stop()
    until(one.stop_tick)

    assert one.poll() == -signal.SIGTERM
    assert one.state is State.STOPPED
    assert not any("killed" in line for line in said)


def test_a_deaf_process_is_killed_when_its_time_is_over(make: Make, said: list[str]) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('on', flush=True)\n"
    one = make(deaf + SERVE, stop_within=0.2)
    until(lambda: one.state is State.READY, one)
    until(lambda: "on" in one.spec.log.read_text(), one)

    one.ask_to_stop()
    until(one.stop_tick)

    assert one.poll() == -signal.SIGKILL
    assert "did not stop" in said[-1]


def test_the_last_of_several_commands_serves(make: Make, tmp_path: Path) -> None:
    mark = tmp_path / "first"
    one = make(f"open({str(mark)!r}, 'w')", SERVE)

    until(lambda: one.state is State.READY, one)

    assert mark.exists()


def test_a_process_that_lives_but_does_not_answer_is_restarted(
    make: Make, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = [True]
    one = make(SERVE, probe=lambda: healthy[0], unhealthy_for=0.2)
    monkeypatch.setattr(one, "_probe_pause", lambda: 0.01)
    until(lambda: one.state is State.READY, one)

    healthy[0] = False
    until(lambda: one.failures == 1, one)

    assert "has not answered for 0 s" in said[1]


def test_a_probe_that_raises_is_a_probe_that_does_not_answer(make: Make, said: list[str]) -> None:
    answers = [True]

    def probe() -> bool:
        if not answers[0]:
            raise ValueError("MISCONF Errors writing to the AOF file")
        return True

    one = make(SERVE, probe=probe)
    one._probe_pause = lambda: 0.01  # type: ignore[method-assign]
    until(lambda: one.state is State.READY, one)

    answers[0] = False
    until(lambda: len(said) == 2, one)
    for _ in range(10):
        one.tick()
    answers[0] = True
    until(lambda: one._trouble == "", one)

    assert said[1:] == [
        "toy cannot be asked: ValueError: MISCONF Errors writing to the AOF file"
    ], "said once, and nothing was restarted"
    assert one.state is State.READY
    assert one.failures == 0


def test_a_start_that_the_system_has_no_room_for_is_tried_again(
    make: Make, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.Popen

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(subprocess, "Popen", full)
    one = make(SERVE)
    assert one.state is State.WAITING
    assert said == ["toy could not be started: No space left on device; starting it again in 1 s"]

    monkeypatch.setattr(subprocess, "Popen", real)
    until(lambda: one.state is State.READY, one)


def test_a_start_that_failed_is_not_waited_for(make: Make, said: list[str]) -> None:
    one = make(
        f"print('engine failed to start', flush=True)\n{SERVE}",
        probe=lambda: False,
        probe_every=0.02,
        hopeless="engine failed to start",
    )

    until(lambda: one.failures == 1, one)

    assert "toy was ended by SIGKILL" in said[0]


def test_its_log_is_bounded(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LOG_LIMIT", 10_000)
    one = make("while True: print('x' * 99)")
    log = tmp_path / "toy.log"

    until((tmp_path / "toy.log.1").exists, one)
    one.kill()
    one.tick()

    assert log.stat().st_size < 10_000 or one.failures


def test_it_ends_with_a_killed_supervisor(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = f"""
import os, pathlib, signal, sys
from annotate.launch.child import Child, Spec
serve = [sys.executable, "-c", "import time; time.sleep(99)"]
one = Child(Spec(name="toy", commands=[serve], log=pathlib.Path({str(tmp_path / "log")!r})), print)
one.start()
pathlib.Path({str(note)!r}).write_text(str(one.process.pid))
os.kill(os.getpid(), signal.SIGKILL)
"""
    supervisor = psutil.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])

    assert supervisor.wait(PATIENCE_S) == -signal.SIGKILL
    orphan = int(note.read_text())

    until(lambda: not psutil.pid_exists(orphan) or is_zombie(orphan))


def is_zombie(number: int) -> bool:
    try:
        return bool(psutil.Process(number).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
