"""Whether an adapter can change an answer at all, told from the bytes of its weights."""

import json
from pathlib import Path

from inference.adapter_files import HEADER_LIMIT, WEIGHTS

CHUNK = 2**20  # bytes
_OUTPUTS = ("lora_B", "lora_embedding_B")
# What zeros and minus zeros of every floating-point type are made of.
_ZERO = b"\x00\x80"


def changes_nothing(folder: Path) -> bool:
    """True when what the adapter adds is 0 everywhere: all its output matrices (B) are.

    Of trained weights the first bytes tell; only zeros are read to their end. Raises OSError and
    ValueError for a file that cannot be read.
    """
    with (folder / WEIGHTS).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > HEADER_LIMIT:
            raise ValueError(f"{WEIGHTS} has no header")
        header = json.loads(file.read(length))
        for name, tensor in header.items():
            if not any(part in name for part in _OUTPUTS):
                continue
            begin, end = tensor["data_offsets"]
            file.seek(8 + length + begin)
            while begin < end:
                chunk = file.read(min(CHUNK, end - begin))
                if not chunk:
                    raise ValueError(f"{WEIGHTS} is cut off")
                if chunk.translate(None, _ZERO):
                    return False
                begin += len(chunk)
    return True
