"""`python -m training.engine.scoring FOLDER`: what a reward model makes of answers.

In the folder: scoring.json, which names the adapter and its base, and answers.jsonl, lines of
{id, messages, completion} and, where sampling was cut off, "finish_reason": "length". It adds to
scores.jsonl, lines of {id, reward}; started again it scores what is missing. Exit codes as those of
`python -m training.engine`.
"""

import argparse
import sys
from pathlib import Path

from training.engine.process.logs import log_to_stderr
from training.engine.process.run import run_work
from training.engine.scoring.work import score_folder


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.engine.scoring",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds scoring.json")
    log_to_stderr()
    return run_work(parser.parse_args(arguments).folder, score_folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
