"""`make test`: a test that fails once fails the run, beside others or not."""

from pathlib import Path

import pytest

from setup import check

TESTS = """
import os, pathlib
here = pathlib.Path(__file__).parent

def test_steady():
    pass

def test_unsteady():
    second = (here / "unsteady").exists()
    (here / "unsteady").touch()
    assert second

def test_killer():
    if (here / "killer").exists():
        os._exit(0)
"""


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> check.Group:
    (tmp_path / "test_it.py").write_text(TESTS)
    monkeypatch.setattr(check, "CHECKOUT", tmp_path)
    monkeypatch.setattr(check, "last_lines", [])
    return check.Group("some", (".",), {"PYTEST_ADDOPTS": "-p no:django"})


def test_what_would_pass_the_second_time_fails(group: check.Group) -> None:
    assert not check.shown(group)
    assert check.last_lines[0].startswith("1 failed, 2 passed")


def test_what_passes_passes(group: check.Group, tmp_path: Path) -> None:
    (tmp_path / "unsteady").touch()
    assert check.shown(group)
    assert check.last_lines[0].startswith("3 passed")


def test_beside_others(group: check.Group) -> None:
    with check.beside(group.started) as wait:
        assert not check.ended_well(*wait())
    assert check.last_lines[0].startswith("1 failed, 2 passed")


def test_a_run_that_broke_off_has_not_passed(group: check.Group, tmp_path: Path) -> None:
    """Whatever exit code it left behind."""
    (tmp_path / "unsteady").touch()
    (tmp_path / "killer").touch()
    assert not check.shown(group)


def test_one_group_alone(
    group: check.Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "GROUPS", {"some": group})
    monkeypatch.setattr(check, "ENGINE", group)  # the one that needs no pages
    assert check.main(["some"]) == 1
    assert check.main(["some"]) == 0, "what failed the first time"


def test_a_group_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["nonsense"]) == 2
    assert "GROUP=engine|pages|others" in capsys.readouterr().out
