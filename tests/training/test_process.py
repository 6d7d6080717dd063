"""`python -m training.engine` as whoever starts it sees it: exit codes, files, signals, words."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE_S
from tests.training import scripted_engine
from tests.training.warm import WarmProcess

ROOT = Path(__file__).parents[2]
SPEC: dict[str, Any] = {
    "method": "dpo",
    "base": {"model": "model"},
    "data": {"rankings": ["rankings.jsonl"]},
    "training": {"epochs": 1},
}


def start(folder: Path, script: str, **more: str) -> WarmProcess:
    return WarmProcess(scripted_engine.main, [str(folder), script], more)


def ended(process: WarmProcess) -> tuple[int | None, str]:
    _, said = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said


def read(place: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(place.read_text())
    return content


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def in_phase(folder: Path, phase: str) -> bool:
    beat = folder / "heartbeat.json"
    return beat.exists() and read(beat)["phase"] == phase


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "rankings.jsonl").write_text("{}\n")
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    return tmp_path


def test_a_finished_run_leaves_result_manifest_metrics_and_heartbeat(folder: Path) -> None:
    code, said = ended(start(folder, "trains"))

    assert code == 0, said
    result = read(folder / "result.json")
    assert result["state"] == "finished"
    assert result["warnings"] == ["The data are few."]
    assert "Warning: The data are few." in said
    assert "The run is finished" in said
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert lines[2]["loss"] is None  # NaN is no JSON
    assert lines[2]["eta_s"] == 0
    assert {"time", "memory_mb"} <= lines[0].keys()
    beat = read(folder / "heartbeat.json")
    assert (beat["phase"], beat["step"], beat["steps"]) == ("training", 3, 3)


def test_the_manifest_says_what_the_run_was_made_of(folder: Path) -> None:
    ended(start(folder, "trains"))

    manifest = read(folder / "run.json")
    packages = {"torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate", "python"}
    assert manifest["versions"].keys() == packages
    assert manifest["spec"]["dpo"]["beta"] == 0.1  # the defaults, too
    assert manifest["seeds"] == {"training": 0}
    assert manifest["data"]["files"][0]["path"] == "rankings.jsonl"
    assert len(manifest["data"]["sha256"]) == 64
    assert manifest["device"]["type"] in ("cpu", "cuda")
    assert manifest["memory"]["peak"]["resident"] >= 0
    assert manifest["starts"] == 1


def test_a_finished_run_is_not_run_again(folder: Path) -> None:
    ended(start(folder, "trains"))
    code, said = ended(start(folder, "breaks"))

    assert code == 0
    assert "was finished before" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_after_a_checkpoint(folder: Path, number: int) -> None:
    process = start(folder, "waits")
    wait_until(lambda: in_phase(folder, "training"))
    process.send_signal(number)
    process.send_signal(number)  # at once after the first: the same request
    code, said = ended(process)

    assert code == 3
    assert any((folder / "checkpoints").iterdir())
    result = read(folder / "result.json")
    assert (result["state"], result["permanent"], result["exit_code"]) == ("stopped", False, 3)
    assert "Start the same command again" in result["advice"]
    assert "Stopping after this step" in said


def test_a_second_signal_ends_it_at_once(folder: Path) -> None:
    process = start(folder, "never_polls")
    wait_until(lambda: in_phase(folder, "training"))
    process.terminate()
    time.sleep(2.5)
    assert process.poll() is None
    while process.poll() is None:  # on a busy machine it may not have heard the first one yet
        process.terminate()
        time.sleep(2.5)
    code, _ = ended(process)

    assert code == 1
    result = read(folder / "result.json")
    assert (result["state"], result["error"]) == ("stopped", "StoppedAtOnce")


def test_the_heartbeat_goes_on_while_a_step_takes_long(folder: Path) -> None:
    process = start(folder, "never_polls")
    wait_until(lambda: in_phase(folder, "training"))
    first = read(folder / "heartbeat.json")
    wait_until(lambda: read(folder / "heartbeat.json")["time"] > first["time"])
    process.kill()
    ended(process)

    assert first["pid"] == process.pid


@pytest.mark.parametrize(
    ("script", "code", "words", "advice", "permanent"),
    [
        ("diverges", 5, "not a finite number", "optimizer.lr", True),
        ("fills_memory", 4, "not enough memory", "tokens_per_pack", True),
        ("fills_disk", 1, "disk is full", "keep_checkpoints", False),
        ("finds_bad_data", 2, "no ranking", "Correct the data", True),
        ("breaks", 1, "KeyError: 'weights'", "The log has the detail", True),
    ],
)
def test_a_failure_is_told_in_words_with_what_to_change(
    folder: Path, script: str, code: int, words: str, advice: str, permanent: bool
) -> None:
    found, said = ended(start(folder, script))

    assert found == code
    result = read(folder / "result.json")
    assert result["state"] == "failed"
    assert words in result["message"]
    assert advice in result["advice"]
    assert result["permanent"] is permanent
    assert result["message"] in said
    assert ("Traceback" in said) is (script in ("fills_memory", "fills_disk", "breaks"))


def test_a_wrong_spec_is_refused_field_by_field(folder: Path) -> None:
    (folder / "spec.json").write_text(json.dumps({**SPEC, "lora": {"rank": 8}, "merge": "yes"}))
    code, said = ended(start(folder, "trains"))

    assert code == 2
    message = read(folder / "result.json")["message"]
    assert "lora.rank: there is no such field" in message
    assert 'merge: "yes" is not allowed; it must be true or false' in message
    assert message in said
    assert not (folder / "run.json").exists()


def test_a_missing_data_file_is_refused_by_name(folder: Path) -> None:
    (folder / "rankings.jsonl").unlink()
    code, said = ended(start(folder, "trains"))

    assert code == 2
    assert "There is no data file rankings.jsonl." in said


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    code, said = ended(start(tmp_path / "nowhere", "trains"))

    assert code == 2
    assert "There is no run folder" in said


def test_a_second_process_keeps_out_of_the_folder(folder: Path) -> None:
    first = start(folder, "waits")
    wait_until(lambda: in_phase(folder, "training"))
    code, said = ended(start(folder, "trains"))
    first.terminate()

    assert code == 1
    assert "Another process is at work" in said
    assert ended(first)[0] == 3
    assert read(folder / "result.json")["state"] == "stopped"


def test_only_the_first_of_several_processes_writes(folder: Path) -> None:
    before = sorted(folder.iterdir())
    code, said = ended(start(folder, "trains", RANK="1", WORLD_SIZE="2"))

    assert code == 0
    assert sorted(folder.iterdir()) == before
    assert "finished" not in said


def test_the_module_itself_is_the_command(folder: Path) -> None:
    (folder / "spec.json").write_text("{")
    done = subprocess.run(
        [sys.executable, "-m", "training.engine", str(folder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )

    assert done.returncode == 2
    assert "The spec is no JSON: line 1, column 2" in done.stderr
