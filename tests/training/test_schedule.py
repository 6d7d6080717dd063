"""The learning rate from the first step to the last, and that a run of one step learns."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.trl_runs import make_spec, model_folder, told_by, write_lines
from training.engine.errors import SpecError
from training.engine.methods.dpo import run_dpo
from training.engine.methods.kto import run_kto
from training.engine.methods.ppo import run_ppo
from training.engine.methods.reward import run_reward
from training.engine.methods.sft import run_sft
from training.engine.process import RunFolder
from training.engine.schedule import few_steps, schedule_of
from training.engine.spec import Optimizer

SHAPES = ("linear", "cosine", "constant")
USUAL = {"lr": 0.01, "warmup_ratio": 0.05, "schedule": "linear"}


def rates(steps: int, spec: Optimizer, lr: float = 1.0) -> list[float]:
    """What an optimizer has at each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = schedule_of(optimizer, spec, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_by_hand() -> None:
    """Four of ten steps rise by quarters; then six are left to fall in."""
    rising = [0.25, 0.5, 0.75, 1.0]
    linear = rates(10, Optimizer(warmup_ratio=0.4, schedule="linear"))
    assert linear == pytest.approx([*rising, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    cosine = rates(10, Optimizer(warmup_ratio=0.4, schedule="cosine"))
    r = math.sqrt(3) / 2
    falling = [1.0, (1 + r) / 2, 0.75, 0.5, 0.25, (1 - r) / 2]
    assert cosine == pytest.approx(rising + falling)
    constant = rates(10, Optimizer(warmup_ratio=0.4, schedule="constant"))
    assert constant == pytest.approx(rising + [1.0] * 6)


@pytest.mark.parametrize("schedule", SHAPES)
@pytest.mark.parametrize("ratio", [0.0, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("steps", [1, 2, 7, 10, 19, 20, 333])
def test_every_step_has_a_rate_and_one_has_the_peak(
    schedule: str, ratio: float, steps: int
) -> None:
    found = rates(steps, Optimizer(warmup_ratio=ratio, schedule=schedule))
    assert min(found) > 0
    assert max(found) == 1


def test_the_warm_up_is_rounded() -> None:
    """Half a step is none: 10 steps at 5% begin at the peak, 30 have two steps (1.5)."""
    assert rates(10, Optimizer())[0] == 1
    assert rates(30, Optimizer())[:3] == pytest.approx([0.5, 1.0, 1.0])


def test_rates_that_are_all_zero_are_refused() -> None:
    with pytest.raises(SpecError, match="nothing would be learned"):
        rates(5, Optimizer(), lr=0.0)


def test_a_short_run_says_so() -> None:
    assert few_steps(20) is None
    assert "has 19 steps only" in (few_steps(19) or "")
    assert "has 1 step only" in (few_steps(1) or "")


METHODS = {
    "sft": run_sft,
    "kto": run_kto,
    "dpo": run_dpo,
    "reward": run_reward,
    "ppo": run_ppo,
}


def by_length(*, completion_ids: list[list[int]], **_: object) -> list[float]:
    """Rewards that differ."""
    return [float(sum(ids) % 7) for ids in completion_ids]


@pytest.mark.parametrize("method", METHODS)
def test_a_run_of_one_step_learns(tmp_path: Path, method: str) -> None:
    """LoRA's B matrices are zero until a step has changed them."""
    pairs = [{"prompt": f"{n}?", "chosen": "yes" * n, "rejected": "no"} for n in range(1, 3)]
    shown = [{"prompt": f"{n}?", "completion": "yes"} for n in range(1, 3)]
    data = {"pairs": [write_lines(tmp_path / "pairs.jsonl", pairs)]}
    if method == "sft":
        data = {"demonstrations": [write_lines(tmp_path / "shown.jsonl", shown)]}
    sections: dict[str, Any] = {
        "optimizer": USUAL,
        "training": {"max_steps": 1},
        "evaluation": {"answers": 0},
    }
    if method == "ppo":
        rewards = [f"{__name__}:by_length"]
        sections["ppo"] = {"rewards": rewards, "max_new_tokens": 4, "samples": 2}
    folder = RunFolder(tmp_path / "run")
    run: Callable[..., None] = METHODS[method]

    told = told_by(run, make_spec(method, model_folder(tmp_path), data, **sections), folder)

    weights = load_file(folder.adapter / "adapter_model.safetensors")
    changed = [one.abs().max().item() for name, one in weights.items() if "lora_B" in name]
    assert changed
    assert max(changed) > 1e-3
    assert told.column("lr") == [USUAL["lr"]]
    assert any("1 step only" in one for one in told.warnings)
