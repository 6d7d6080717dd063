"""`python -m training.engine RUN_FOLDER`: run what spec.json in the folder describes.

Started again after a stop or a crash it goes on from the last whole checkpoint. Exit codes:
0 finished, 2 the spec or the data is wrong, 3 stopped on request with a checkpoint, 4 out of
memory, 5 the loss is not finite, 1 anything else. On several GPUs:

    accelerate launch --config_file training/engine/launch/ddp.yaml -m training.engine RUN_FOLDER
"""

import argparse
import sys
from pathlib import Path

from training.engine.process.logs import log_to_stderr
from training.engine.process.run import run


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.engine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="holds spec.json")
    log_to_stderr()
    return run(parser.parse_args(arguments).folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
