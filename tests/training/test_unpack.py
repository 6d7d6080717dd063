"""Unpacking the bundled model: whole or not at all, once."""

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


def test_another_process_may_have_been_first(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = tmp_path / "bundled"

    def convert_while_another_finishes(_gguf: Path, draft: Path) -> None:
        (draft / "mine").touch()
        destination.mkdir()
        (destination / "theirs").touch()

    monkeypatch.setattr(unpack, "_convert", convert_while_another_finishes)

    assert not unpack.unpack(gguf, destination)
    assert [file.name for file in destination.iterdir()] == ["theirs"]
    assert {file.name for file in tmp_path.iterdir()} == {"model.gguf", "bundled"}
