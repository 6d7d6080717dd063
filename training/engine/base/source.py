"""Where a base model is: a folder, a GGUF file, or a name on the model hub."""

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from training.engine import unpack
from training.engine.base.content import cache_folder, file_hash, weight_files
from training.engine.errors import SpecError
from training.engine.spec import Base

_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w.-]+")
_SMALL_FILES = ["*.json", "*.model", "*.txt", "*.jinja", "*.py"]


def locate(base: Base) -> Path:
    """The folder with the model's config, 16-bit or 32-bit weights and tokenizer.

    A GGUF file is unpacked into the user's cache folder once, to the same 16-bit weights that are
    served. A name is looked up on the hub. Raises SpecError when there is no such model.
    """
    path = Path(base.model).expanduser()
    if path.suffix.lower() == ".gguf":
        return _unpacked(path)
    if path.is_dir():
        weight_files(path)
        return path
    if path.exists():
        raise SpecError(
            f"base.model: {path} is neither a model folder nor a GGUF file.",
            advice="Give the folder that has config.json and *.safetensors.",
        )
    if not _HUB_NAME.fullmatch(base.model):
        raise SpecError(
            f"base.model: there is no folder {path}.",
            advice="Give a model folder, a .gguf file, or a name on the hub (owner/model).",
        )
    return _downloaded(base.model, base.revision)


def _unpacked(gguf: Path) -> Path:
    if not gguf.is_file():
        raise SpecError(
            f"base.model: there is no file {gguf}.", advice="Check the path of the GGUF file."
        )
    try:
        folder = cache_folder() / "models" / f"{gguf.stem}-{file_hash(gguf)[:12]}"
        unpack.unpack(gguf.absolute(), folder)
    except OSError as problem:
        raise SpecError(
            f"base.model: {gguf.name} cannot be unpacked: {problem}",
            advice=f"Make room in {cache_folder()}, or set XDG_CACHE_HOME to a folder with room.",
        ) from problem
    except (ValueError, KeyError, NotImplementedError) as problem:
        raise SpecError(
            f"base.model: {gguf.name} is no GGUF file that transformers reads: {problem}",
            advice="Give the model as a folder instead.",
        ) from problem
    return folder


def _downloaded(name: str, revision: str | None) -> Path:
    """Only the files at the top: some repositories keep a second copy of the weights below."""

    def fetch(*patterns: str) -> Path:
        found = snapshot_download(
            name, revision=revision, allow_patterns=[*patterns], ignore_patterns=["*/*"]
        )
        return Path(found)

    try:
        folder = fetch(*_SMALL_FILES, "*.safetensors")
        if not any(folder.glob("*.safetensors")):
            folder = fetch(*_SMALL_FILES, "pytorch_model*.bin")
    except (HFValidationError, HfHubHTTPError, OSError) as problem:
        raise SpecError(
            f"base.model: there is no folder {name}, and the hub did not give a model of that "
            f"name: {str(problem).splitlines()[0]}",
            advice="Check the name, the revision and the connection; a gated model needs a token.",
        ) from problem
    weight_files(folder)
    return folder
