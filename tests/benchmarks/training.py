"""Training on rankings against training on the pairs they expand to: Prefloop against TRL.

DPO and a reward model on real prompts and answers, K = 4 and 9, fp32 and bf16, the same base,
adapter and tokens. Each side takes a whole step a ranking: DPO's reference pass, forward, backward
and optimizer. The sides take turns ranking by ranking in one process, because the machine is
shared; peak memory is taken of each side in a process of its own, TRL with a single pair at a time.
For speed TRL takes micro-batches of 2 pairs, the faster of 2 and 8 where this was tried.
`gradient_error` is the relative difference of both gradients in fp32.
"""

import argparse
import json
import subprocess
import sys
from typing import Any

STEP = "step"
METHODS = ("dpo", "reward")
PRECISIONS = ("fp32", "bf16")
RANKINGS = {4: 3, 9: 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="", help="model folder; default: the bundled one")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--k", nargs="+", type=int, default=sorted(RANKINGS), choices=range(2, 10))
    parser.add_argument("--max-prompt", type=int, default=128)
    parser.add_argument("--max-completion", type=int, default=128)
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory runs")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for precision in options.precisions:
        for k in options.k:
            for method in options.methods:
                found = _child("time", method, k, precision, options)
                figures[f"{method}_k{k}_{precision}"] = round(found["ratio"], 2)
                figures[f"{method}_k{k}_{precision}_tokens_per_s"] = round(found["tokens_per_s"])
                if precision == "fp32" and k == min(options.k):
                    error = _child("gradient", method, k, precision, options)["gradient_error"]
                    figures["gradient_error"] = max(figures.get("gradient_error", 0.0), error)
            if not options.no_memory:
                peaks = {
                    side: _child(f"memory-{side}", "dpo", k, precision, options)["peak_mb"]
                    for side in ("ours", "peer")
                }
                figures[f"memory_k{k}_{precision}"] = round(peaks["ours"] / peaks["peer"], 3)
                figures[f"memory_k{k}_{precision}_mb"] = round(peaks["ours"])
    print(json.dumps(figures))


def _child(part: str, method: str, k: int, precision: str, options: Any) -> dict[str, float]:
    """One measurement in a process of its own; its last line is its result."""
    command = [sys.executable, "-m", "tests.benchmarks.training", STEP, part, method, str(k)]
    command += [precision, str(RANKINGS.get(k, 4)), options.model]
    command += [str(options.max_prompt), str(options.max_completion)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(part, method, f"K={k}", precision, json.dumps(found), flush=True)
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == [STEP]:
        from tests.benchmarks import training_steps  # a child loads PyTorch, its parent does not

        training_steps.main(sys.argv[2:])
    else:
        main()
