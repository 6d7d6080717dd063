"""The configuration of a base model alone, without its weights."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig

from training.engine.errors import SpecError
from training.engine.spec import Base


def read_config(base: Base) -> Any:
    """Of a folder, a GGUF file's header, or a name on the hub, of which only this is fetched.

    Raises SpecError when there is none that transformers reads.
    """
    path = Path(base.model).expanduser()
    options: dict[str, Any] = {"trust_remote_code": base.trust_remote_code}
    place: str | Path = path if path.exists() else base.model
    if path.suffix.lower() == ".gguf":
        place, options["gguf_file"] = path.parent, path.name
    elif not path.exists():
        options["revision"] = base.revision
    try:
        return AutoConfig.from_pretrained(place, **options)
    except (OSError, ValueError, KeyError, ImportError) as problem:
        line = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise SpecError(
            f"base.model: {base.model} has no configuration that can be read: {line}",
            advice="Give a model folder, a .gguf file, or a name on the hub (owner/model).",
        ) from problem
