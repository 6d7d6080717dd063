"""What libraries refuse, and a disk that is full, end a run in words that say what to change."""

import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from transformers import MambaConfig, MambaForCausalLM

from tests.patience import PATIENCE_S
from tests.training.test_runs import make_run, start
from tests.training.tiny import VOCABULARY, save_tiny
from training.engine.adapters.targets import target_modules
from training.engine.errors import DiskFull, SpecError, Stopped
from training.engine.process import RunFolder, outcome
from training.engine.process.run import run
from training.engine.spec import Lora


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def no_database(folder: Path) -> None:
    (folder / "reference.sqlite").write_text("log-probabilities\n" * 100)


def another_database(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "reference.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE bookmarks (address TEXT)")


def no_weights(folder: Path) -> None:
    (folder / "base" / "model.safetensors").write_bytes(b"x" * 99)


@pytest.mark.parametrize(
    ("spoil", "words", "advice"),
    [
        (no_database, "dpo.reference_cache) is none, or was damaged", "Delete it"),
        (another_database, "dpo.reference_cache) is none, or was damaged", "Delete it"),
        (lambda f: cut(f / "base" / "tokenizer.json"), "tokenizer", "tokenizer.json"),
        (lambda f: cut(f / "base" / "model.safetensors"), "base.model", "again"),
        (
            lambda f: (f / "base" / "model.safetensors").write_bytes(b"x" * 99),
            "base.model",
            "again",
        ),
    ],
    ids=["no database", "another database", "tokenizer", "weights", "no weights"],
)
def test_a_file_that_is_none_is_named(
    spoil: Callable[[Path], None], words: str, advice: str, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "run", Path("base"), "dpo", training={"max_steps": 1})
    save_tiny("llama", folder / "base")
    spoil(folder)

    assert run(folder) == 2

    result = result_of(folder)
    assert words in result["message"]
    assert advice in result["advice"]
    assert "does not know" not in result["message"]
    assert "Traceback" not in result["message"]


@pytest.fixture
def mamba() -> Any:
    made: Any = MambaForCausalLM
    return made(
        MambaConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, state_size=4)
    )


def test_what_peft_leaves_alone_is_no_target(mamba: Any) -> None:
    names = target_modules(mamba, Lora())
    assert names == ["dt_proj", "in_proj", "x_proj"]
    get_peft_model(mamba, LoraConfig(target_modules=names))


def test_a_target_that_peft_refuses_is_named(mamba: Any) -> None:
    with pytest.raises(SpecError, match="PEFT does not adapt out_proj") as refused:
        target_modules(mamba, Lora(targets=("in_proj", "out_proj")))
    assert "Leave out out_proj" in refused.value.advice


# --- a full disk ------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """160 kB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=160k", "tmpfs", str(place)]
    try:
        subprocess.run(["mount", *options], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path) -> None:
    """To the last byte."""
    for size in (4096, 1):
        with suppress(OSError), (disk / "filler").open("ab", buffering=0) as filler:
            while filler.write(b"x" * size):
                pass


def test_a_full_disk_leaves_a_result(small_disk: Path, tmp_path: Path) -> None:
    """The first checkpoint does not fit; who started it learns what happened, and it goes on."""
    base = save_tiny("llama", tmp_path / "tiny")
    folder = make_run(small_disk / "run", base, "dpo", training={"max_steps": 2})
    process = start(folder)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, said
    result = result_of(folder)
    assert (result["state"], result["error"]) == ("failed", "DiskFull")
    assert "Free some space" in result["advice"]
    assert result["permanent"] is False
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    process = start(folder)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert result_of(folder)["state"] == "finished"


def test_the_last_word_is_written_over_what_was_kept_free(small_disk: Path) -> None:
    folder = RunFolder(small_disk)
    with folder.held():
        fill(small_disk)
        long = DiskFull("The disk is full. " + "ü" * 9000)
        outcome.ended(folder, long, warnings=["w" * 9000], seconds=1.0)
        result = result_of(small_disk)
        assert (result["state"], result["error"]) == ("failed", "DiskFull")
        outcome.ended(folder, Stopped("Stopped after step 3."), warnings=[], seconds=2.0)
        assert result_of(small_disk)["state"] == "stopped", "written over the word before"
    assert not list(small_disk.glob(".result.json*")), "no draft is left"


def test_without_room_for_a_last_word_no_run_begins(small_disk: Path) -> None:
    fill(small_disk)
    (small_disk / "spec.json").touch()
    with pytest.raises(OSError, match="No space"), RunFolder(small_disk).held():
        pass
    assert not (small_disk / ".result.reserve").exists()
