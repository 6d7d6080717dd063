"""The job that puts MODEL where vLLM reads it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from annotate.environment import CHECKOUT


def fetch(model: str, var: Path) -> subprocess.CompletedProcess[str]:
    given = {"MODEL": model, "VAR_DIR": str(var), "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(
        [sys.executable, str(CHECKOUT / "docker" / "fetch_model.py")],
        env={"PATH": os.environ["PATH"], **given},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "my-model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    done = fetch("my-model", tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{folder}: already there\n")


@pytest.mark.parametrize("model", ["no-such-folder", "../secrets", "a/../b", "https://x/y"])
def test_a_name_that_is_neither_folder_nor_hub_id_is_refused(model: str, tmp_path: Path) -> None:
    done = fetch(model, tmp_path)
    assert done.returncode == 1
    assert "MODEL: expected a folder" in done.stderr
    assert not list(tmp_path.iterdir())
