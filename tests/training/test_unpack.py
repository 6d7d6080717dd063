"""Unpacking the bundled model: whole or not at all, once."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inference import local
from training.engine import unpack


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"not a model")
    return file


def test_the_bundled_model_becomes_a_16_bit_folder(tmp_path: Path) -> None:
    destination = tmp_path / "models" / "bundled"

    assert unpack.unpack(local.bundled_gguf(), destination)

    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(destination)
    assert not hasattr(config, "quantization_config")
    assert str(config.dtype) == "torch.bfloat16"
    assert 250e6 < (destination / "model.safetensors").stat().st_size < 290e6
    tokenizer = AutoTokenizer.from_pretrained(destination)
    messages = [{"role": "user", "content": "hello"}]
    assert "hello" in tokenizer.apply_chat_template(messages, tokenize=False)


def test_a_second_time_does_nothing(gguf: Path, tmp_path: Path) -> None:
    destination = tmp_path / "done"
    destination.mkdir()

    assert not unpack.unpack(gguf, destination)


def test_a_broken_file_leaves_nothing_behind(
    gguf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models"

    assert unpack.main([str(gguf), str(folder / "bundled")]) == 1

    assert list(folder.iterdir()) == []
    assert "unpacking the model failed" in capsys.readouterr().err


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert unpack.main([str(tmp_path / "none.gguf"), str(tmp_path / "out")]) == 1

    assert capsys.readouterr().err.count("\n") == 1


def test_of_several_at_a_time_one_does_the_work(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination, begun = tmp_path / "bundled", []

    def convert(_gguf: Path, draft: Path) -> None:
        begun.append(draft)
        time.sleep(0.2)
        (draft / "weights").touch()

    monkeypatch.setattr(unpack, "_convert", convert)
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(unpack.unpack, gguf, destination) for _ in range(4)]
    assert sorted(each.result() for each in made) == [False, False, False, True]
    assert len(begun) == 1
    assert [file.name for file in destination.iterdir()] == ["weights"]
    assert {file.name for file in tmp_path.iterdir()} == {"model.gguf", "bundled"}
