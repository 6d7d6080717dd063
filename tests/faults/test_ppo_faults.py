"""The real vLLM dies while it samples a PPO run's answers: the run waits and goes on."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from annotate.launch import plan
from annotate.launch.child import Child
from tests.faults.breaking import kill_and_restart, wait
from tests.patience import PATIENCE_S
from tests.services import ENV
from tests.training.test_ppo import FUNCTION
from training.engine.ppo.rollouts.versions import WAITED

pytestmark = pytest.mark.vllm

STEPS = 3
QUESTIONS = ("Why is the sky blue?", "Name three rivers.")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"prompt": text, "completion": "Yes."} for text in QUESTIONS]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = {
        "method": "ppo",
        "base": {"model": str(plan.model_folder(ENV)), "precision": "fp32"},
        "lora": {"r": 8},
        "data": {"demonstrations": ["prompts.jsonl"], "held_out_fraction": 0.0},
        "training": {"max_steps": STEPS, "groups_per_step": 2},
        "evaluation": {"answers": 0},
        "ppo": {
            "rewards": [FUNCTION],
            "samples": 2,
            "max_new_tokens": 8,
            "epochs": 1,
            "minibatches": 1,
            "server": settings.INFERENCE_URLS[0],
        },
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    return tmp_path


def test_vllm_dies_during_a_run(folder: Path, vllm: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # beside vLLM and the other tests
    with engine(folder) as running:
        wait("a version of the actor on the server", lambda: versions() != [])
        kill_and_restart(vllm)
        assert running.wait(timeout=PATIENCE_S) == 0, (folder / "log").read_text()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    # The server forgot the actor: another model would be a nat a token away.
    assert max(abs(line["mismatch_kl"]) for line in lines) < 0.1
    assert WAITED in json.loads((folder / "result.json").read_text())["warnings"]
    assert versions() == []


@contextmanager
def engine(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Killed when the test fails before its end."""
    command = [sys.executable, "-m", "training.engine", str(folder)]
    key = {"VLLM_API_KEY": settings.INFERENCE_API_KEY}
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(command, env={**os.environ, **key}, stdout=log, stderr=log)
        try:
            yield running
        finally:
            running.kill()
            running.wait()


def versions() -> list[str]:
    """Of the actor, on the server."""
    headers = {"Authorization": f"Bearer {settings.INFERENCE_API_KEY}"}
    url = f"{settings.INFERENCE_URLS[0]}/v1/models"
    reply = httpx.get(url, headers=headers, trust_env=False, timeout=10)
    return [name for one in reply.json()["data"] if (name := str(one["id"])).startswith("ppo-")]
