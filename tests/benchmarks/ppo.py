"""PPO with four roles on one base against TRL 1.12's experimental PPO, from which TRL removed it.

Both learn the same thing, a reward that a program judges, from the same prompts, with the same
LoRA, rate, clip, divergence and number of tokens, one after the other on the same machine. TRL gets
an environment of its own, which is made here: the packages of this one with TRL 1.12 before
them. Speed is answer tokens in all of a step: sampling, measuring, updating. Memory is the peak of
what is allocated; `memory_vs_sft` compares it with an SFT run of the engine on as many rows.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from inference.local import bundled_gguf
from training.engine.unpack import unpack

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEER = "trl==1.12.0"
REWARD = "ppo_reward:words_with_e"
LAST = 0.2  # share of the steps that are called the end
PROMPT_TOKENS = 32
KL_BOUND = 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="model folder; default: the bundled one")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--prompts-per-step", type=int, default=16)
    parser.add_argument("--samples", type=int, default=4, help="answers to each prompt")
    parser.add_argument("--max-new-tokens", type=int, default=16)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "nf4"])
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--epochs", type=int, default=4, help="over a step's answers; as in TRL")
    parser.add_argument("--minibatches", type=int, default=1, help="of an epoch; as in TRL")
    parser.add_argument("--no-peer", action="store_true", help="leave TRL out")
    parser.add_argument("--keep", type=Path, help="folder for the runs; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = options.keep or Path(temporary)
        model = options.model or root / "model"
        if options.model is None:
            unpack(Path(bundled_gguf()), model)
        task = task_of(model, options)
        ours = engine(root / "ours", task)
        sft = sft_peak(root / "sft", task)
        peak = ours.pop("peak_mb")
        figures = ours | {"memory_vs_sft": round(peak / sft, 3)}
        if not options.no_peer:
            theirs = peer(root, task)
            tokens_per_s = theirs["tokens"] / theirs["seconds"]
            figures |= {
                "trl_reward_end": round(end(theirs["rewards"]), 3),
                "speed_ratio": round(ours["tokens_per_s"] / tokens_per_s, 2),
                "memory_ratio": round(peak / theirs["peak_mb"], 3),
                "trl_kl_end": round(end(theirs["kl"]), 3),
            }
    print(json.dumps(figures))


def task_of(model: Path, options: Any) -> dict[str, Any]:
    """What both sides are given. prompts: as tokens, the same on both sides."""
    return {
        "model": str(model),
        "steps": options.steps,
        "prompts_per_step": options.prompts_per_step,
        "samples": options.samples,
        "max_new_tokens": options.max_new_tokens,
        "precision": options.precision,
        "dtype": "float32" if options.precision == "fp32" else "bfloat16",
        "lr": options.lr,
        "epochs": options.epochs,
        "minibatches": options.minibatches,
        "kl_coef": 0.05,
        "temperature": 1.0,
    }


def rows() -> list[dict[str, Any]]:
    with gzip.open(HERE / "data" / "completions.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def engine(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """A run of the engine on the task."""
    shown = [{"prompt": row["prompt"], "completion": "Yes."} for row in rows()]
    write(folder / "prompts.jsonl", shown)
    spec = {
        "method": "ppo",
        "data": {
            "demonstrations": ["prompts.jsonl"],
            "held_out_fraction": 0.0,
            "max_prompt_tokens": PROMPT_TOKENS,
        },
        "training": {
            "max_steps": task["steps"],
            "groups_per_step": task["prompts_per_step"],
            "tokens_per_pack": pack_tokens(task),
            "checkpoint_every": 1000,
        },
        "evaluation": {"answers": 0},
        "ppo": {
            "rewards": [REWARD],
            "samples": task["samples"],
            "max_new_tokens": task["max_new_tokens"],
            "temperature": task["temperature"],
            "epochs": task["epochs"],
            "minibatches": task["minibatches"],
            "kl_coef": task["kl_coef"],
            "kl_bound": KL_BOUND,
            "kl_stop": None,
            # As in TRL, whose objective has neither.
            "normalize_rewards": False,
            "reward_clip": None,
            "missing_end_penalty": 0.0,
        },
        **common(task),
    }
    run(folder, spec)
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rewards = [line["reward"] for line in found]
    first = [
        row["reward"]
        for row in map(json.loads, (folder / "rollouts.jsonl").read_text().splitlines())
        if row["step"] == 1
    ]
    half = 1.96 * (sum((one - rewards[0]) ** 2 for one in first) / len(first) ** 2) ** 0.5
    rates = [line["tokens_per_s"] for line in found]
    peak = json.loads((folder / "run.json").read_text())["memory"]["peak"]["allocated"]
    return {
        "reward_start": round(rewards[0], 3),
        "reward_start_high": round(rewards[0] + half, 3),
        "reward_end": round(end(rewards), 3),
        "kl_end": round(end([line["kl"] for line in found]), 3),
        "kl_bound": KL_BOUND,
        "tokens_per_s": round(sum(rates) / len(rates), 1),
        "rollout_tokens_per_s": found[-1]["rollout_tokens_per_s"],
        "update_tokens_per_s": found[-1]["update_tokens_per_s"],
        "peak_mb": peak / 2**20,
    }


def pack_tokens(task: dict[str, Any]) -> int:
    """A minibatch at a time, as TRL's micro-batch."""
    share: int = task["prompts_per_step"] // task["minibatches"]
    width: int = PROMPT_TOKENS + task["samples"] * task["max_new_tokens"]
    return share * width


def sft_peak(folder: Path, task: dict[str, Any]) -> float:
    """MB at the peak of SFT on rows as long and as many at a time as a minibatch of PPO has."""
    rows_at_once = task["prompts_per_step"] * task["samples"] // task["minibatches"]
    text = " ".join(["word"] * (task["max_new_tokens"] - 2))
    shown = [{"prompt": row["prompt"], "completion": text} for row in rows()[:64]]
    write(folder / "shown.jsonl", shown)
    spec = {
        "method": "sft",
        "data": {
            "demonstrations": ["shown.jsonl"],
            "held_out_fraction": 0.0,
            "max_prompt_tokens": PROMPT_TOKENS,
        },
        "training": {
            "max_steps": 2,
            "groups_per_step": rows_at_once,
            "tokens_per_pack": rows_at_once * (PROMPT_TOKENS + task["max_new_tokens"]),
        },
        "evaluation": {"answers": 0},
        **common(task),
    }
    run(folder, spec)
    found = json.loads((folder / "run.json").read_text())["memory"]["peak"]["allocated"]
    return float(found) / 2**20


def common(task: dict[str, Any]) -> dict[str, Any]:
    return {
        "base": {"model": task["model"], "precision": task["precision"]},
        "lora": {"r": 16},
        "optimizer": {"lr": task["lr"], "schedule": "constant", "warmup_ratio": 0.0},
    }


def run(folder: Path, spec: dict[str, Any]) -> None:
    (folder / "spec.json").write_text(json.dumps(spec))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{HERE}"}
    subprocess.run(
        [sys.executable, "-m", "training.engine", str(folder)], check=True, env=environment
    )


def peer(root: Path, task: dict[str, Any]) -> dict[str, Any]:
    """TRL's run; tokens: of all its answers as TRL computes them, which is up to their limit."""
    python = peer_python(root / "venv")
    # The prompts as the engine encoded them, each as often as it is answered.
    prompts = [one for one in encoded(task) for _ in range(task["samples"])]
    place = root / "task.json"
    place.write_text(json.dumps({**task, "prompts": prompts}))
    begin = time.monotonic()
    done = subprocess.run(
        # -P: beside the script lies a module called "training".
        [str(python), "-P", str(HERE / "ppo_peer.py"), str(place)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{HERE}", "TRL_EXPERIMENTAL_SILENCE": "1"},
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"TRL took {time.monotonic() - begin:.0f} s", flush=True)
    answers = task["steps"] * task["prompts_per_step"] * task["samples"]
    return {**found, "tokens": answers * task["max_new_tokens"]}


def encoded(task: dict[str, Any]) -> list[list[int]]:
    from transformers import AutoTokenizer

    from training.engine.data import load_prompts
    from training.engine.spec import Data

    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "prompts.jsonl"
        write(place, [{"prompt": row["prompt"], "completion": "a"} for row in rows()])
        data = Data(
            demonstrations=(str(place),), held_out_fraction=0.0, max_prompt_tokens=PROMPT_TOKENS
        )
        tokenizer = AutoTokenizer.from_pretrained(task["model"])
        return [list(one.tokens) for one in load_prompts(data, tokenizer).train]


def peer_python(folder: Path) -> Path:
    """The packages of this environment, with TRL 1.12 in their place where it has the name."""
    python = folder / "bin" / "python"
    if python.exists():
        return python
    venv.create(folder, with_pip=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    below = folder / "lib" / version / "site-packages" / "below.pth"
    below.write_text(sysconfig.get_paths()["purelib"] + "\n")
    subprocess.run([str(python), "-m", "pip", "install", "-q", "--no-deps", PEER], check=True)
    return python


def end(values: list[float]) -> float:
    """The mean of the last steps."""
    last = values[-max(1, round(LAST * len(values))) :]
    return sum(last) / len(last)


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
