"""PPO as a process: stopped by a signal, started again, finished."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from tests.training.fake_server import Fake
from tests.training.test_ppo import FUNCTION
from tests.training.test_runs import make_run, metrics, run, start, wait_for_step
from tests.training.tiny import save_tiny

STILL_S = 15.0  # many times what a step takes


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("llama", tmp_path_factory.mktemp("model") / "tiny")


def test_two_processes_are_stopped_and_one_goes_on(tmp_path: Path, base: Path) -> None:
    """Each samples and measures its share; gradients, whitening and metrics are of both."""
    folder = make_run(
        tmp_path / "run",
        base,
        "ppo",
        ppo={"rewards": [FUNCTION], "samples": 2, "max_new_tokens": 6},
        evaluation={"answers": 2, "max_new_tokens": 4},
        training={"evaluate_every": 6},
    )
    stopped = start(folder, processes=2)
    wait_for_step(folder, 3)
    stopped.send_signal(signal.SIGTERM)
    _, said = stopped.communicate(timeout=PATIENCE_S)
    assert "Stopped after step" in said
    assert list((folder / "checkpoints").glob("step-*"))
    run(folder)
    found = metrics(folder)
    assert [line["step"] for line in found] == list(range(1, 13))
    assert found[-1]["score"] > found[0]["score"]
    table = [json.loads(line) for line in (folder / "rollouts.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in table]
    assert steps == sorted(steps)
    assert set(steps) == set(range(1, 13))
    train = json.loads((folder / "run.json").read_text())["groups"]["train"]
    whole, left = divmod(train, 4)  # the last step of an epoch has the prompts that are left
    assert {steps.count(step) for step in range(1, whole + 1)} == {4 * 2}
    assert steps.count(whole + 1) == left * 2
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert evaluation["accuracy"]["value"] is not None
    assert evaluation["kl"]["per_token"]["value"] > 0
    assert json.loads((folder / "result.json").read_text())["state"] == "finished"
    card = json.loads((folder / "adapter" / "adapter.json").read_text())
    assert (card["method"], card["spec"]["ppo"]["rewards"]) == ("ppo", [FUNCTION])
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["layout"] == "packed"
    parts = [row["part"] for row in manifest["memory"]["estimate"]["rows"]]
    assert "LoRA of all roles, fp32" in parts
    assert "KV cache of rollouts" in parts


def until_it_stands_still(folder: Path) -> None:
    """No step has ended for so long that the next one waits, on a busy machine too."""
    seen, since = metrics(folder), time.monotonic()
    while time.monotonic() - since < STILL_S:
        time.sleep(0.1)
        if metrics(folder) != seen:
            seen, since = metrics(folder), time.monotonic()


def test_two_processes_that_wait_for_a_server_are_stopped_together(
    tmp_path: Path, base: Path
) -> None:
    """One of them has its answers, the other one does not: neither goes on without the other."""
    with Fake() as fake:
        folder = make_run(
            tmp_path / "run",
            base,
            "ppo",
            ppo={"rewards": [FUNCTION], "samples": 2, "max_new_tokens": 6, "server": fake.url},
            evaluation={"answers": 0},
            training={"max_steps": 1000, "checkpoint_every": 1000},
        )
        running = start(folder, processes=2)
        wait_for_step(folder, 2)
        fake.hold_next()
        while not fake.held:
            time.sleep(0.01)
        until_it_stands_still(folder)  # the other process has its own answers by now
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=PATIENCE_S)
    assert "Stopped before step" in said
    reached = metrics(folder)[-1]["step"]
    assert [int(one.name.split("-")[1]) for one in (folder / "checkpoints").iterdir()] == [reached]
    assert fake.loaded == {}
