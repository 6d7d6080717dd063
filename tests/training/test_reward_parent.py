"""A reward model that goes on: from another one with its head, from a policy with a fresh one.

What is expected is computed by transformers and PEFT alone, from the parent's files.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaForCausalLM

from tests.training.tiny import tiny_tokenizer
from tests.training.trl_runs import Told, make_spec, model_folder, told_by, write_lines
from training.engine.methods.dpo import run_dpo
from training.engine.methods.reward import run_reward
from training.engine.methods.sft import run_sft
from training.engine.process import RunFolder
from training.engine.reward_head import RewardHead

PAIRS = [{"prompt": f"{n}?", "chosen": "yes" * n, "rejected": "no"} for n in range(1, 5)]
# All pairs in a step, so that the first line of metrics is of all data before any update.
WHOLE: dict[str, Any] = {"groups_per_step": 4, "max_steps": 1}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("reward"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_lines(tmp_path_factory.mktemp("pairs") / "pairs.jsonl", PAIRS)


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory, model: Path, pairs: str) -> Path:
    folder = RunFolder(tmp_path_factory.mktemp("parent") / "run")
    training = {**WHOLE, "max_steps": 25}
    told_by(run_reward, make_spec("reward", model, {"pairs": [pairs]}, training=training), folder)
    return folder.adapter


def continued(root: Path, model: Path, pairs: str, parent: Path, seed: int) -> Told:
    spec = make_spec(
        "reward",
        model,
        {"pairs": [pairs]},
        parent={"adapter": str(parent), "use": "continue"},
        training={**WHOLE, "seed": seed},
    )
    return told_by(run_reward, spec, RunFolder(root / f"seed {seed}"))


def rewards(model: Path, adapter: Path, head: Tensor) -> list[tuple[float, float]]:
    """Of each pair, of the chosen and the rejected answer: the head's product at the last token."""
    base: Any = LlamaForCausalLM.from_pretrained(model, dtype=torch.float32)
    policy: Any = PeftModel.from_pretrained(base, adapter)
    trunk = policy.get_base_model().model
    tokenizer = tiny_tokenizer()
    found = []
    for pair in PAIRS:
        asked = [{"role": "user", "content": pair["prompt"]}]
        prompt = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        both = []
        for answer in (pair["chosen"], pair["rejected"]):
            ids = tokenizer(f"{prompt}{answer}<|im_end|>", return_tensors="pt")["input_ids"]
            with torch.no_grad():
                both.append(float(head @ trunk(input_ids=ids).last_hidden_state[0, -1]))
        found.append((both[0], both[1]))
    return found


def loss(scores: list[tuple[float, float]]) -> float:
    return sum(math.log1p(math.exp(bad - good)) for good, bad in scores) / len(scores)


@pytest.mark.parametrize("seed", [0, 3])
def test_it_starts_where_its_parent_ended(
    tmp_path: Path, model: Path, pairs: str, reward_model: Path, seed: int
) -> None:
    """At the parent's seed and at another one: a fresh head would be another draw."""
    head = load_file(reward_model / "reward_head.safetensors")["score.weight"][0]
    scores = rewards(model, reward_model, head)
    expected = loss(scores)
    assert expected < 0.1, "the parent has learned"

    told = continued(tmp_path, model, pairs, reward_model, seed)

    first = told.lines[0]
    assert first["loss"] == pytest.approx(expected, rel=1e-3)
    mean = sum(good + bad for good, bad in scores) / (2 * len(scores))
    assert first["reward"] == pytest.approx(mean, rel=1e-3)
    assert first["chosen"] == pytest.approx(sum(good for good, _ in scores) / 4, rel=1e-3)
    assert not any("fresh" in one for one in told.warnings)
    made = json.loads((tmp_path / f"seed {seed}" / "run.json").read_text())
    assert made["reward_head"] == "the parent's"


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_it_starts_from_a_policy_with_a_fresh_head_and_says_so(
    tmp_path: Path, model: Path, pairs: str, method: str
) -> None:
    """InstructGPT's reward models start from SFT."""
    shown = [{"prompt": one["prompt"], "completion": one["chosen"]} for one in PAIRS]
    demonstrations = write_lines(tmp_path / "shown.jsonl", shown)
    data = {"demonstrations": [demonstrations]} if method == "sft" else {"pairs": [pairs]}
    parent = RunFolder(tmp_path / "parent")
    spec = make_spec(method, model, data, training={"max_steps": 6}, evaluation={"answers": 0})
    told_by(run_sft if method == "sft" else run_dpo, spec, parent)

    told = continued(tmp_path, model, pairs, parent.adapter, 3)

    head = RewardHead(32, seed=3).weight.detach()[0]
    expected = loss(rewards(model, parent.adapter, head))
    assert told.lines[0]["loss"] == pytest.approx(expected, rel=1e-3)
    (said,) = [one for one in told.warnings if "fresh reward head" in one]
    assert f"no reward model ({method})" in said
    made = json.loads((tmp_path / "seed 3" / "run.json").read_text())
    assert made["reward_head"] == "fresh, of seed 3"
