"""What TRAINING_LAUNCH means for a run, known before it starts."""

import re
import shlex
from pathlib import Path

from annotate.environment import CHECKOUT

SHARDED = re.compile(r"^distributed_type:\s*[\"']?FSDP\b", re.MULTILINE)


def shards(launch: str) -> bool:
    """Whether it spreads the base over several GPUs (FSDP), so that each holds a part of it.

    What it does not say in an option or in its file of configuration, the run will say.
    """
    words = shlex.split(launch)
    if "--use_fsdp" in words:
        return True
    given = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--config_file"]
    given += [word.partition("=")[2] for word in words if word.startswith("--config_file=")]
    places = [CHECKOUT / Path(one).expanduser() for one in given]
    return any(one.is_file() and SHARDED.search(one.read_text()) is not None for one in places)
