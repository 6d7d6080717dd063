"""Reading a spec; what is wrong with it is said field by field."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from training.engine.errors import SpecError
from training.engine.spec.run import RunSpec
from training.engine.spec.words import in_words


def read_spec(path: Path) -> RunSpec:
    """Raises SpecError when the file is missing, is no JSON, or asks for what cannot be."""
    return parse_spec(read_values(path))


def read_values(path: Path) -> Any:
    """The file as decoded JSON. Raises SpecError when it is missing or is no JSON."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as problem:
        raise SpecError(f"There is no spec at {path}.") from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise SpecError(f"The spec at {path} cannot be read: {problem}") from problem
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise SpecError(
            f"The spec is no JSON: line {problem.lineno}, column {problem.colno}: {problem.msg}."
        ) from problem


def parse_spec(values: Any) -> RunSpec:
    """values: a spec as decoded JSON. Raises SpecError with a line for each field that is wrong."""
    try:
        return RunSpec.model_validate(values)
    except ValidationError as problem:
        raise SpecError(in_words(problem)) from problem
