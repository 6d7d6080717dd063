"""`make test`: a test that failed beside others has a second chance; a broken run has none."""

from pathlib import Path

import pytest

from setup import check

TESTS = """
import os, pathlib
here = pathlib.Path(__file__).parent

def test_steady():
    with (here / "steady").open("a") as file:
        file.write("x")

def test_unsteady():
    second = (here / "unsteady").exists()
    (here / "unsteady").touch()
    assert second

def test_broken():
    assert not (here / "broken").exists()

def test_killer():
    if (here / "killer").exists():
        os._exit(3)
"""


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> check.Group:
    (tmp_path / "test_it.py").write_text(TESTS)
    monkeypatch.setattr(check, "CHECKOUT", tmp_path)
    monkeypatch.setattr(check, "last_lines", [])
    return check.Group("some", (".",), {"PYTEST_ADDOPTS": "-p no:django"})


def test_what_passes_when_alone_ran_alone(group: check.Group, tmp_path: Path) -> None:
    assert not check.shown(group, check.CLEAN)
    assert group.failures() == 1
    assert check.shown(group, "--last-failed")
    assert (tmp_path / "steady").read_text() == "x"


def test_what_is_broken_fails_again(group: check.Group, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    assert not check.shown(group, check.CLEAN)
    assert group.failures() == 2
    assert not check.shown(group, "--last-failed")
    assert not check.shown(group, check.CLEAN)
    assert group.failures() == 1  # those of the run before are forgotten


def test_beside_others(group: check.Group) -> None:
    with check.beside(group) as wait:
        assert not wait()
    assert check.last_lines[0].startswith("1 failed, 3 passed")


def test_a_run_that_broke_off_has_no_second_chance(group: check.Group, tmp_path: Path) -> None:
    (tmp_path / "killer").touch()
    assert not check.shown(group, check.CLEAN)
    assert group.failures() == 0
