"""`python -m training.engine.memory SPEC.json`: what a run will take, before anything is loaded.

Read from the model's configuration alone. The data are not looked at: a pack is taken to be full.
With --json for programs, in bytes, with what is free of the device's memory now and the names of
the base's linear layers.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from training.engine.base.config import read_config
from training.engine.base.load import compute_dtype, default_device
from training.engine.errors import EngineError
from training.engine.memory.available import available
from training.engine.memory.estimate import MemoryEstimate, estimate
from training.engine.memory.shape import ModelShape
from training.engine.process import RunFolder
from training.engine.process.paths import with_absolute_model
from training.engine.spec import read_spec


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.engine.memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("spec", type=Path, metavar="SPEC.json", help="alone, or in a run folder")
    parser.add_argument("--json", action="store_true", help="for programs")
    given = parser.parse_args(arguments)
    try:
        shape, needed = of_spec(given.spec)
    except EngineError as problem:
        print(f"{problem.message}\n{problem.advice}", file=sys.stderr)
        return problem.exit_code
    if given.json:
        device, free = available()
        layers = sorted({one.name for one in shape.linears})
        found = {**needed.to_json(), "device": device, "available": free, "layers": layers}
        print(json.dumps(found))
    else:
        print(needed.to_text(), end="")
    return 0


def of_spec(path: Path) -> tuple[ModelShape, MemoryEstimate]:
    """The base, and what training it takes. Paths in the spec begin at its folder.

    Raises SpecError.
    """
    spec = read_spec(path)
    # A template of its own takes no memory, and need not be there yet.
    base = spec.base.model_copy(update={"chat_template": None})
    base = with_absolute_model(base, RunFolder(path.parent))
    shape = ModelShape.from_config(read_config(base))
    wide = compute_dtype(base.precision, default_device()) is torch.float32
    return shape, estimate(shape, spec, wide=wide)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
