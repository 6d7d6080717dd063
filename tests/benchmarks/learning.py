"""Real learning, not only a falling loss: two runs of the engine on the bundled model.

A reward model on 1,000 of the HH-RLHF pairs, judged on the held-out rest; and DPO on real prompts
and answers under a rule that a program can judge, the shorter the better, judged by the length of
held-out answers before and after.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from inference.local import bundled_gguf

DATA = Path(__file__).with_name("data")
TRAINED_PAIRS = 1000
HELD_OUT_PROMPTS = 40
K = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="", help="model folder; default: the bundled one")
    parser.add_argument("--only", choices=["reward", "dpo"])
    parser.add_argument("--keep", type=Path, help="folder for the runs; default: a temporary one")
    options = parser.parse_args()
    model = options.model or str(bundled_gguf())
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        root = options.keep or Path(temporary)
        if options.only != "dpo":
            figures |= reward_model(root / "reward", model)
        if options.only != "reward":
            figures |= shorter_answers(root / "dpo", model)
    print(json.dumps(figures))


def reward_model(folder: Path, model: str) -> dict[str, Any]:
    """Held-out pair accuracy with its interval; chance is 0.5."""
    rows = _rows("hh_rlhf_harmless.jsonl.gz")
    _write(folder / "train.jsonl", rows[:TRAINED_PAIRS])
    _write(folder / "held_out.jsonl", rows[TRAINED_PAIRS:])
    spec = {
        "method": "reward",
        "base": {"model": model, "precision": "bf16"},
        "data": {
            "pairs": ["train.jsonl"],
            "evaluation_pairs": ["held_out.jsonl"],
            "max_prompt_tokens": 256,
            "max_completion_tokens": 256,
        },
        "optimizer": {"lr": 1e-4},
        "training": {"epochs": 1, "groups_per_step": 16, "tokens_per_pack": 4096},
        "reward": {"centering": 0.01},
    }
    seconds = _run(folder, spec)
    accuracy = json.loads((folder / "evaluation.json").read_text())["accuracy"]
    return {
        "reward_accuracy": round(accuracy["value"], 4),
        "reward_low": round(accuracy["low"], 4),
        "reward_high": round(accuracy["high"], 4),
        "reward_pairs": accuracy["count"],
        "reward_minutes": round(seconds / 60, 1),
    }


def shorter_answers(folder: Path, model: str) -> dict[str, Any]:
    """Tokens of greedy answers to held-out prompts: trained less base, with its interval."""
    rows = [
        _ranked_by_length(number, row) for number, row in enumerate(_rows("completions.jsonl.gz"))
    ]
    _write(folder / "train.jsonl", rows[HELD_OUT_PROMPTS:])
    _write(folder / "held_out.jsonl", rows[:HELD_OUT_PROMPTS])
    spec = {
        "method": "dpo",
        "base": {"model": model, "precision": "bf16"},
        "data": {
            "rankings": ["train.jsonl"],
            "evaluation_rankings": ["held_out.jsonl"],
            "max_prompt_tokens": 192,
            "max_completion_tokens": 192,
        },
        "optimizer": {"lr": 2e-4},
        "training": {"epochs": 2, "groups_per_step": 8, "tokens_per_pack": 2048},
        "evaluation": {"answers": HELD_OUT_PROMPTS, "max_new_tokens": 128},
    }
    seconds = _run(folder, spec)
    found = json.loads((folder / "evaluation.json").read_text())
    length = found["length"]
    return {
        "dpo_accuracy": round(found["accuracy"]["value"], 4),
        "dpo_tokens_base": round(length["base"], 1),
        "dpo_tokens_trained": round(length["trained"], 1),
        "dpo_difference": round(length["difference"]["value"], 1),
        "dpo_low": round(length["difference"]["low"], 1),
        "dpo_high": round(length["difference"]["high"], 1),
        "dpo_kl": round(found["kl"]["per_token"]["value"], 4),
        "dpo_minutes": round(seconds / 60, 1),
    }


def _ranked_by_length(number: int, row: dict[str, Any]) -> dict[str, Any]:
    texts = row["completions"][:K]
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    return {
        "prompt": row["prompt"],
        "completions": [{"id": n, "text": text} for n, text in enumerate(texts)],
        "task_id": number,
        "ranking_id": number,
        "labeler": "program",
        "tiers": [[index] for index in order],
    }


def _run(folder: Path, spec: dict[str, Any]) -> float:
    (folder / "spec.json").write_text(json.dumps(spec))
    begin = time.monotonic()
    subprocess.run([sys.executable, "-m", "training.engine", str(folder)], check=True)
    return time.monotonic() - begin


def _rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
