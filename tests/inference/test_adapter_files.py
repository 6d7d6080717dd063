"""Adapter folders: the engine's hash rules, and nothing broken gets past them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from inference import adapter_files
from inference.adapter_files import copy_adapter, read_adapter, write_zero
from inference.errors import SwapRefused
from tests.inference.adapter_folders import write_adapter, write_card
from training.engine import reward_head
from training.engine.adapters import files as engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "red", rank=16)


def test_the_hash_is_the_engines(folder: Path) -> None:
    assert read_adapter(folder).content_hash == engine.read_adapter(folder).content_hash


def test_names_of_files_are_the_engines() -> None:
    names = ("WEIGHTS", "CONFIG", "CARD")
    assert [getattr(adapter_files, n) for n in names] == [getattr(engine, n) for n in names]
    assert set(engine.CARD_KEYS) < set(adapter_files.CARD_KEYS)
    assert adapter_files.REWARD_HEAD == reward_head.FILE


def test_the_rank_is_the_largest_of_any_layer(folder: Path) -> None:
    assert read_adapter(folder).rank == 16
    config = '{"r": 8, "rank_pattern": {"q_proj": 32}}'
    (folder / "adapter_config.json").write_text(config)
    write_card(folder)
    assert read_adapter(folder).rank == 32


def truncate(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def tamper(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def forget_a_file(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()


def forget_the_card(folder: Path) -> None:
    (folder / "adapter.json").unlink()


def halve_the_card(folder: Path) -> None:
    card = folder / "adapter.json"
    card.write_text(card.read_text()[:100])


def rename_it(folder: Path) -> None:
    card = folder / "adapter.json"
    card.write_text(card.read_text().replace('"sha256": "', '"sha256": "0'))


def lead_elsewhere(folder: Path) -> None:
    card = folder / "adapter.json"
    card.write_text(card.read_text().replace('"adapter_config.json"', '"../red/x"', 1))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (truncate, "adapter_model.safetensors is cut off or was changed"),
        (tamper, "adapter_model.safetensors is cut off or was changed"),
        (forget_a_file, "adapter_config.json is missing"),
        (forget_the_card, "it has no adapter.json"),
        (halve_the_card, "adapter.json is cut off"),
        (rename_it, "adapter.json was changed"),
        (lead_elsewhere, "adapter.json is not complete"),
    ],
)
def test_a_broken_folder_is_refused_in_words(folder: Path, harm: object, said: str) -> None:
    assert callable(harm)
    harm(folder)
    with pytest.raises(SwapRefused, match=said) as caught:
        read_adapter(folder)
    assert caught.value.permanent


def test_a_copy_is_whole_or_absent(folder: Path, tmp_path: Path) -> None:
    files = read_adapter(folder)
    copy_adapter(files, tmp_path / "copy")
    assert read_adapter(tmp_path / "copy").content_hash == files.content_hash
    truncate(folder)
    with pytest.raises(SwapRefused):
        copy_adapter(files, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "red"]


def test_a_zero_adapter_has_the_shapes_and_no_weight(folder: Path, tmp_path: Path) -> None:
    zero = write_zero(read_adapter(folder), tmp_path / "zeros")
    assert zero.folder.name == zero.content_hash == engine.read_adapter(zero.folder).content_hash
    old = load_file(folder / "adapter_model.safetensors")
    new = load_file(zero.folder / "adapter_model.safetensors")
    assert {name: (a.shape, a.dtype) for name, a in new.items()} == {
        name: (a.shape, a.dtype) for name, a in old.items()
    }
    assert not any(np.any(array) for array in new.values())
    assert write_zero(read_adapter(folder), tmp_path / "zeros").content_hash == zero.content_hash
    assert [path.name for path in (tmp_path / "zeros").iterdir()] == [zero.content_hash]


def test_no_torch_is_loaded() -> None:
    check = "import sys, inference.adapter_files; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
