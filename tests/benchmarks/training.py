"""Training on rankings against three ways that people have, on the same rankings and weights.

- `batch`: the K completions as rows of one padded batch, all pairs in the loss, as InstructGPT
  describes it: the next best thing, and what the README leads with;
- `prefix`: pairs that share their prompt, each pair in a pack of the engine;
- `pairs`: TRL's trainer on the pairs that a ranking expands to (micro-batches of 2 pairs, the
  faster of 2 and 8 where this was tried).

DPO and a reward model on real prompts and answers of up to 128 tokens each. A side takes a whole
step a ranking: DPO's reference pass, forward, backward and optimizer. The sides take turns ranking
by ranking in one process, because the machine is shared. `_low` is the low end of the ratio's 95%
interval over rankings; `gradient_error` the largest relative difference of the gradients in fp32;
`memory` is taken of each side in a process of its own, TRL with a single pair at a time.

All in bf16, or in fp32 on a processor without AVX-512. `--full` adds K = 9 and fp32 against TRL
(hours), and keeps what each part said in --results.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from annotate.environment import BUNDLED_MODEL, CHECKOUT
from inference.local import bundled_gguf, computes_bfloat16

STEP = "step"
RANKINGS = 20
MAX_TOKENS = 128
# In bf16, but where the processor only imitates it: there nobody trains so.
PRECISION = "bf16" if computes_bfloat16() else "fp32"
# method, K, against, precision
Part = tuple[str, int, str, str]
PARTS: list[Part] = [
    ("dpo", 4, "batch", PRECISION),
    ("dpo", 9, "batch", PRECISION),
    ("reward", 4, "batch", PRECISION),
    ("dpo", 4, "prefix", PRECISION),
    ("dpo", 4, "pairs", PRECISION),
    ("reward", 4, "pairs", PRECISION),
]
FULL: list[Part] = [
    (method, k, "pairs", precision)
    for precision in dict.fromkeys((PRECISION, "fp32"))
    for k in (4, 9)
    for method in ("dpo", "reward")
    if (precision, k) != (PRECISION, 4)
]
GRADIENTS = [("dpo", "pairs"), ("reward", "pairs"), ("dpo", "batch"), ("reward", "batch")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="", help="model folder; default: the bundled one")
    parser.add_argument("--rankings", type=int, default=RANKINGS)
    parser.add_argument("--full", action="store_true", help="K = 9 and fp32 against TRL as well")
    parser.add_argument("--results", type=Path, help="with --full: where each part is kept")
    options = parser.parse_args()
    model = options.model or _bundled()
    figures: dict[str, float] = {}
    kept: list[dict[str, Any]] = []
    for method, k, against, precision in [*PARTS, *(FULL if options.full else [])]:
        found = _child("time", against, method, k, precision, options.rankings, model)
        kept.append(found)
        other = "" if against == "pairs" else f"{against}_"
        name = f"{method}_k{k}_{other}{precision}"
        figures[name] = round(found["ratio"], 2)
        figures[f"{name}_low"] = round(found["low"], 2)
        figures[f"{name}_tokens_per_s"] = round(found["tokens_per_s"])
    for method, against in GRADIENTS:
        found = _child("gradient", against, method, 4, "fp32", 1, model)
        figures["gradient_error"] = max(figures.get("gradient_error", 0.0), found["gradient_error"])
    peaks = {
        side: _child(f"memory-{side}", "pairs", "dpo", 4, PRECISION, RANKINGS, model)["peak_mb"]
        for side in ("ours", "peer")
    }
    figures[f"memory_k4_{PRECISION}"] = round(peaks["ours"] / peaks["peer"], 3)
    figures[f"memory_k4_{PRECISION}_mb"] = round(peaks["ours"])
    if options.results:
        options.results.write_text(json.dumps({"commit": _commit(), "parts": kept}, indent=1))
    print(json.dumps(figures))


def _bundled() -> str:
    """Unpacked once; its parts read an ordinary folder in a second."""
    folder = CHECKOUT / "var" / "models" / BUNDLED_MODEL
    unpack = ["-m", "training.engine.unpack", str(bundled_gguf()), str(folder)]
    subprocess.run([sys.executable, *unpack], check=True)
    return str(folder)


def _commit() -> str:
    asked = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(asked, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _child(
    part: str, against: str, method: str, k: int, precision: str, count: int, model: str
) -> dict[str, Any]:
    """One measurement in a process of its own; its last line is its result."""
    command = [sys.executable, "-m", "tests.benchmarks.training", STEP, part, against, method]
    command += [str(k), precision, str(count), model, str(MAX_TOKENS), str(MAX_TOKENS)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(part, method, f"K={k}", against, precision, json.dumps(found), flush=True)
    asked = {"part": part, "method": method, "k": k, "against": against, "precision": precision}
    return {**asked, **found}


if __name__ == "__main__":
    if sys.argv[1:2] == [STEP]:
        from tests.benchmarks import training_steps  # a child loads PyTorch, its parent does not

        training_steps.main(sys.argv[2:])
    else:
        main()
