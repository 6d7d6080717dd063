"""PPO with the real vLLM: versions of the actor come and go, and it says what the trainer says."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from annotate.launch import plan
from annotate.launch.child import Child
from tests.services import ENV
from tests.training.test_ppo import FUNCTION

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

QUESTIONS = ("Why is the sky blue?", "Name three rivers.")


def test_rollouts_come_from_the_actor_one_step_ago_at_most(vllm: Child, tmp_path: Path) -> None:
    before = served()
    rows = [{"prompt": text, "completion": "Yes."} for text in QUESTIONS]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = {
        "method": "ppo",
        "base": {"model": str(plan.model_folder(ENV)), "precision": "fp32"},
        "lora": {"r": 8},
        "data": {"demonstrations": ["prompts.jsonl"], "held_out_fraction": 0.0},
        "optimizer": {"lr": 1e-4},
        "training": {"max_steps": 3, "groups_per_step": 2},
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
    done = subprocess.run(
        [sys.executable, "-m", "training.engine", str(tmp_path)],
        env={**os.environ, "VLLM_API_KEY": settings.INFERENCE_API_KEY},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["rollout_age"] for line in found] == [0, 1, 1]
    # Two engines round differently in 16 bit; another model would be a nat a token away.
    assert abs(found[0]["mismatch_kl"]) < 0.05
    assert found[0]["importance"] == pytest.approx(1, abs=0.1)
    table = [json.loads(line) for line in (tmp_path / "rollouts.jsonl").read_text().splitlines()]
    assert len(table) == 3 * 2 * 2
    assert served() == before, "the last version is unloaded"
    assert not (tmp_path / ".served").exists()


def served() -> Any:
    key = settings.INFERENCE_API_KEY
    reply = httpx.get(
        f"{settings.INFERENCE_URLS[0]}/v1/models",
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
    )
    return [one["id"] for one in reply.json()["data"]]
