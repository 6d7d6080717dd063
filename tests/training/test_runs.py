"""Whole runs from a folder with a spec to an adapter: DPO and a reward model, as a process."""

import json
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from annotate.environment import free_port
from tests.patience import PATIENCE_S
from tests.training.tiny import save_tiny
from tests.training.warm import WarmProcess, WarmProcesses
from training.engine.__main__ import main

ADJECTIVES = ("red", "old", "small", "warm", "loud", "soft", "dark", "thin", "new", "wet")


def ranking(number: int) -> dict[str, Any]:
    """Short answers are better: a rule that a tiny model can learn."""
    word = ADJECTIVES[number % len(ADJECTIVES)]
    answers = [f"{word} " * count for count in (1, 4, 9)]
    return {
        "prompt": [{"role": "user", "content": f"Describe thing {number}."}],
        "completions": [
            {"id": number * 10 + n, "text": text.strip(), "finish_reason": "stop"}
            for n, text in enumerate(answers)
        ],
        "task_id": number,
        "ranking_id": number,
        "labeler": "lena",
        "tiers": [[0], [1], [2]],
        "strengths": [1, 2],
        "unacceptable": [False, False, False],
        "split": "train",
        "counted": True,
        "documents_json": "[]",
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("llama", tmp_path_factory.mktemp("model") / "tiny")


def make_run(
    folder: Path, base: Path, method: str, files: dict[str, str] | None = None, **parts: Any
) -> Path:
    """files: beside the rankings, by name."""
    folder.mkdir()
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    lines = [json.dumps(ranking(number)) for number in range(40)]
    (folder / "rankings.jsonl").write_text("\n".join(lines) + "\n")
    spec = {
        "method": method,
        "base": {"model": str(base), "precision": "fp32"},
        "data": {"rankings": ["rankings.jsonl"], "held_out_fraction": 0.3},
        "evaluation": {"answers": 4, "max_new_tokens": 8},
        "optimizer": {"lr": 0.01},
        "training": {
            "max_steps": 12,
            "groups_per_step": 4,
            "tokens_per_pack": 600,
            "checkpoint_every": 4,
        },
    }
    for section, values in parts.items():
        spec[section] = {**spec.get(section, {}), **values}  # type: ignore[dict-item]
    (folder / "spec.json").write_text(json.dumps(spec))
    return folder


def start(folder: Path, processes: int = 1) -> WarmProcess | WarmProcesses:
    arguments = [str(folder)]
    if processes > 1:
        return WarmProcesses(main, arguments, processes, free_port())
    return WarmProcess(main, arguments)


def run(folder: Path) -> str:
    process = start(folder)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    return said


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in metrics(folder)]


@pytest.mark.parametrize("method", ["dpo", "reward"])
def test_a_run_learns_and_leaves_everything_behind(tmp_path: Path, base: Path, method: str) -> None:
    folder = make_run(tmp_path / "run", base, method)
    said = run(folder)
    found = metrics(folder)
    assert [line["step"] for line in found] == list(range(1, 13))
    assert found[-1]["loss"] < 0.7 * found[0]["loss"]
    assert {"loss", "margin", "accuracy", "lr", "grad_norm", "tokens_per_s", "memory_mb"} <= set(
        found[-1]
    )
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert evaluation["accuracy"]["value"] > 0.9
    assert json.loads((folder / "result.json").read_text())["state"] == "finished"
    text = (folder / "adapter" / "adapter.json").read_text()
    assert str(folder) not in text, "an adapter is passed on, and tells nothing of this machine"
    assert str(base.parent) not in text
    card = json.loads(text)
    assert card["method"] == method
    assert ("reward_head.safetensors" in card["files"]) == (method == "reward")
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["layout"] == "packed"
    assert manifest["memory"]["estimate"]
    assert said.count("training, at the peak") == 2, "the table is there before and after"
    assert said.index("of the estimate") > said.index("training (0 of 12)")
    assert manifest["memory"]["peak"]["allocated"] > 0


@pytest.mark.parametrize("method", ["dpo", "reward"])
def test_everything_that_can_be_measured(tmp_path: Path, base: Path, method: str) -> None:
    folder = make_run(
        tmp_path / "run",
        base,
        method,
        data={"general_text": "text.txt"},
        training={"evaluate_every": 6, "log_every": 4},
        evaluation={"answers": 4, "max_new_tokens": 8, "learning_curve": True},
        files={"text.txt": "Water boils at a hundred degrees. " * 30},
    )
    run(folder)
    found = json.loads((folder / "evaluation.json").read_text())
    curve = found["learning_curve"]
    assert [point["fraction"] for point in curve] == [0.12, 0.25, 0.5, 1.0]
    assert curve[-1]["accuracy"] == found["accuracy"]
    assert not (folder / "checkpoints" / "curve").exists(), "nobody goes on from a finished part"
    assert curve[0]["groups"] < curve[-1]["groups"]
    if method == "dpo":
        assert found["kl"]["per_token"]["value"] > 0
        assert found["general_text"]["ratio"] > 1
        assert found["length"]["trained"] <= 8
        assert found["missing"] == {"demonstrations": "the spec names no demonstrations"}
    else:
        assert found["missing"]["general_text"] == "a reward model writes no text"
    steps = [line["step"] for line in metrics(folder)]
    assert steps == [4, 6, 8, 12], "the parts of the curve are no metrics of the run"
    measured = [line for line in metrics(folder) if "evaluation_accuracy" in line]
    assert [line["step"] for line in measured] == [6, 12]
    assert measured[-1]["evaluation_accuracy"] == found["accuracy"]["value"]
    assert measured[-1]["evaluation_log_loss"] == found["calibration"]["log_loss"]


def test_the_same_spec_and_seed_give_the_same_losses(tmp_path: Path, base: Path) -> None:
    first = make_run(tmp_path / "first", base, "dpo")
    second = make_run(tmp_path / "second", base, "dpo")
    run(first)
    run(second)
    assert losses(first) == losses(second)


def test_a_killed_run_goes_on_exactly(tmp_path: Path, base: Path) -> None:
    """kill -9 between two checkpoints, and SIGTERM: losses and adapter are those of one go."""
    dropout: dict[str, Any] = {"lora": {"dropout": 0.1}}
    whole = make_run(tmp_path / "whole", base, "reward", **dropout)
    run(whole)
    broken = make_run(tmp_path / "broken", base, "reward", **dropout)
    killed = start(broken)
    wait_for_step(broken, 6)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=PATIENCE_S)
    stopped = start(broken)
    wait_for_step(broken, 8)
    stopped.send_signal(signal.SIGTERM)
    stopped.communicate(timeout=PATIENCE_S)
    assert stopped.returncode in (0, 3)
    run(broken)
    assert losses(broken) == losses(whole)
    assert adapter_hash(broken) == adapter_hash(whole)


def wait_for_step(folder: Path, step: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        file = folder / "metrics.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        if lines and lines[-1].endswith("}") and json.loads(lines[-1])["step"] >= step:
            return
        time.sleep(0.005)
    raise AssertionError(f"step {step} was not reached")


def adapter_hash(folder: Path) -> str:
    found: str = json.loads((folder / "adapter" / "adapter.json").read_text())["files"][
        "adapter_model.safetensors"
    ]
    return found


def test_the_token_budget_changes_no_loss(tmp_path: Path, base: Path) -> None:
    large = make_run(tmp_path / "large", base, "dpo", training={"tokens_per_pack": 4096})
    small = make_run(tmp_path / "small", base, "dpo", training={"tokens_per_pack": 1})
    run(large)
    run(small)
    assert losses(small) == pytest.approx(losses(large), rel=1e-3)


def test_the_reference_is_asked_only_for_what_is_used(tmp_path: Path, base: Path) -> None:
    """One step of four rankings; the file then serves a run that uses more of them."""
    shared: dict[str, Any] = {"dpo": {"reference_cache": "../reference.sqlite"}}
    short = make_run(tmp_path / "short", base, "dpo", training={"max_steps": 1}, **shared)
    run(short)
    with closing(sqlite3.connect(tmp_path / "reference.sqlite")) as connection:
        (known,) = connection.execute("SELECT count(*) FROM reference").fetchone()
    held_out = json.loads((short / "run.json").read_text())["groups"]["evaluation"]
    assert known == 3 * (4 + held_out)
    shared["evaluation"] = {"learning_curve": True}
    whole = make_run(tmp_path / "whole", base, "dpo", **shared)
    alone = make_run(tmp_path / "alone", base, "dpo")
    run(whole)
    run(alone)
    assert losses(whole) == losses(alone)


def test_an_encoder_becomes_a_reward_model(tmp_path: Path) -> None:
    base = save_tiny("bert", tmp_path / "bert")
    folder = make_run(tmp_path / "run", base, "reward")
    run(folder)
    assert losses(folder)[-1] < losses(folder)[0]
    assert json.loads((folder / "run.json").read_text())["layout"] == "unpacked"


@pytest.mark.parametrize(
    "dpo", [{"loss": "plackett_luce"}, {"loss": "ipo"}, {"sft_weight": 0.5, "label_smoothing": 0.1}]
)
def test_the_forms_of_dpo_learn(tmp_path: Path, base: Path, dpo: dict[str, Any]) -> None:
    folder = make_run(tmp_path / "run", base, "dpo", dpo=dpo)
    run(folder)
    assert losses(folder)[-1] < losses(folder)[0]
    assert metrics(folder)[-1]["accuracy"] > 0.9


def test_two_processes_learn_what_one_learns(tmp_path: Path, base: Path) -> None:
    """A step's groups are shared out, and its loss is the same; stop and resume as one."""
    settings: dict[str, Any] = {
        "training": {"groups_per_step": 3, "max_steps": 6, "checkpoint_every": 3}
    }
    alone = make_run(tmp_path / "alone", base, "dpo", **settings)
    run(alone)
    together = make_run(tmp_path / "together", base, "dpo", **settings)
    process = start(together, processes=2)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert losses(together) == pytest.approx(losses(alone), rel=1e-3)
    assert (together / "adapter" / "adapter.json").is_file()


def test_a_run_stopped_while_it_is_measured_goes_on_there(tmp_path: Path, base: Path) -> None:
    evaluation = {"answers": 12, "max_new_tokens": 500}
    folder = make_run(tmp_path / "run", base, "dpo", evaluation=evaluation)
    measuring = start(folder)
    wait_for_step(folder, 12)
    measuring.send_signal(signal.SIGTERM)
    _, said = measuring.communicate(timeout=PATIENCE_S)
    assert measuring.returncode == 3, said
    assert not (folder / "evaluation.json").exists()
    (folder / "spec.json").write_text(
        (folder / "spec.json").read_text().replace('"max_new_tokens": 500', '"max_new_tokens": 4')
    )
    run(folder)
    assert [line["step"] for line in metrics(folder)] == list(range(1, 13))
    assert json.loads((folder / "evaluation.json").read_text())["length"]["trained"] <= 4
