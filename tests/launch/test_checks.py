"""Before anything starts: each problem is one line that says what to do."""

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from annotate.environment import Environment, free_port
from annotate.launch import __main__ as launch
from annotate.launch import causes, checks
from annotate.launch.refusal import Refusal


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_names_who_has_it_and_another_port(taken: int) -> None:
    with pytest.raises(Refusal) as raised:
        checks.port("127.0.0.1", taken)

    assert f"Port {taken} is taken" in str(raised.value)
    assert f"process {os.getpid()}" in str(raised.value)
    assert f"make run PORT={taken + 1}" in str(raised.value)


def test_a_free_port_is_fine() -> None:
    checks.port("127.0.0.1", free_port())


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_foreign_address(host: str) -> None:
    with pytest.raises(Refusal, match="is no address of this machine"):
        checks.port(host, free_port())


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 1024**2))

    with pytest.raises(Refusal, match=r"is full .5 MB free, 1024 MB needed.: free some space"):
        checks.disk(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Refusal, match="VAR_DIR: cannot write to"):
        checks.folders(Environment(var_dir=tmp_path / "file" / "var"))


def test_folders_are_nobody_elses_and_those_of_an_earlier_version_become_so(tmp_path: Path) -> None:
    env = Environment(var_dir=tmp_path / "var")
    checks.folders(env)
    env.var_dir.chmod(0o755)
    (env.var_dir / "training").mkdir(mode=0o755)
    (env.var_dir / "models").symlink_to(tmp_path / "elsewhere")
    checks.folders(env)

    passed = 0o711 if os.geteuid() == 0 else 0o700
    assert stat.S_IMODE(env.run_dir.stat().st_mode) == passed
    for name in ("training", "log"):
        assert stat.S_IMODE((env.var_dir / name).stat().st_mode) == 0o700


def test_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 10, 1))

    with pytest.raises(Refusal, match=r"Python 3.11 is needed, this is 3.10.1"):
        checks.python()


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("DATABASE_URL", "postgresql://ada@127.0.0.1:{port}/prefloop"),
        ("BROKER_URL", "redis://127.0.0.1:{port}/0"),
        ("CACHE_URL", "redis://127.0.0.1:{port}/1"),
    ],
)
def test_an_external_part_that_is_not_there(
    name: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, address.format(port=free_port()))
    env = Environment(var_dir=tmp_path)

    with pytest.raises(Refusal) as raised:
        checks.external(env)

    assert str(raised.value).startswith(f"{name}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "meanwhile"),
    [("INFERENCE_URL", "rounds wait"), ("TRAINING_ROLLOUTS_URL", "PPO runs fail")],
)
def test_a_vllm_may_come_later(
    name: str, meanwhile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv(name, url)
    env = Environment(var_dir=tmp_path)

    (warning,) = checks.external(env)

    assert warning.startswith(f"{name}: {url} does not answer yet")
    assert warning.endswith(f"{meanwhile} until it does")


def test_a_second_start_says_who_runs(tmp_path: Path) -> None:
    env = Environment(var_dir=tmp_path)
    with launch.lock_file(env) as first, launch.lock_file(env) as second:
        launch.take(first)
        with pytest.raises(Refusal, match=f"it runs already .process {os.getpid()}.*make stop"):
            launch.take(second)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        (
            "ImportError: libnuma.so.1: cannot open shared object file: No such file",
            "the system library libnuma.so.1 is missing",
        ),
        ("ModuleNotFoundError: No module named 'vllm'", "the Python package vllm is missing"),
        ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory", "not enough"),
    ],
)
def test_a_known_cause_comes_with_advice(said: str, advice: str, tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text(f"Traceback …\n{said}\n")

    assert advice in causes.explain(1, log)


def test_an_old_cause_is_not_blamed(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("No space left on device\n")
    start = log.stat().st_size
    with log.open("a") as file:
        file.write("ValueError: something else\n")

    assert "ValueError: something else" in causes.explain(1, log, start)
