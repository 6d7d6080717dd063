"""Whether an adapter changes anything is told from its weights."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from inference.adapter_files import WEIGHTS, read_adapter, write_zero
from inference.adapter_weights import changes_nothing
from tests.inference.adapter_folders import write_adapter


def test_trained_weights_change_something(tmp_path: Path) -> None:
    assert not changes_nothing(write_adapter(tmp_path / "red", layers=3))
    assert not changes_nothing(write_adapter(tmp_path / "faint", scale=1e-30))


def test_a_zero_adapter_changes_nothing(tmp_path: Path) -> None:
    like = read_adapter(write_adapter(tmp_path / "red"))
    assert changes_nothing(write_zero(like, tmp_path).folder)
    assert changes_nothing(write_adapter(tmp_path / "untrained", scale=0.0)), "A alone is nothing"
    assert changes_nothing(write_adapter(tmp_path / "minus", scale=-0.0))


def test_one_layer_with_weights_is_enough(tmp_path: Path) -> None:
    nothing = np.zeros((4, 300_000), dtype=np.float32)
    last = nothing.copy()
    last[-1, -1] = 1e-6
    weights = {"a.lora_B.weight": nothing, "b.lora_B.weight": last, "b.lora_A.weight": nothing}
    save_file(weights, tmp_path / WEIGHTS)
    assert not changes_nothing(tmp_path)


def test_a_file_that_is_cut_off_tells_nothing(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "untrained", scale=0.0)
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:-8])
    with pytest.raises(ValueError, match="cut off"):
        changes_nothing(folder)
    (folder / WEIGHTS).write_bytes(b"\xff" * 64)
    with pytest.raises(ValueError, match="no header"):
        changes_nothing(folder)
