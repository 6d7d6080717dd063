"""What pydantic found wrong, in words: "field: what is wrong; what is allowed"."""

import difflib
import json
from collections.abc import Callable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from training.engine.spec.run import RunSpec

Path = tuple[str | int, ...]


def in_words(problem: ValidationError) -> str:
    """One line for each field that is wrong."""
    found = problems(problem, RunSpec)
    return "\n".join(f"{field}: {what}" if field else what for field, what in found)


def problems(problem: ValidationError, root: type[BaseModel]) -> list[tuple[str, str]]:
    """Each field that is wrong, as data.rankings[0] ("": the whole), and what is wrong with it.

    root: the model that was to be read.
    """
    errors = problem.errors(include_url=False)
    return [(_dotted(error["loc"]), _what(error, root)) for error in errors]


def _what(error: ErrorDetails, root: type[BaseModel]) -> str:
    path = error["loc"]
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown(path, root)
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "missing":
        return "is missing; " + (_described(path, root) or "it has no default")
    words = _WORDS.get(kind)
    allowed = words(error.get("ctx", {})) if words else _lowered(error["msg"])
    return f"{_shown(error['input'])} is not allowed; {allowed}"


def _dotted(path: Path) -> str:
    """data.rankings[0]"""
    name = ""
    for part in path:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


def _quoted(expected: str) -> str:
    """'a', 'b' or 'c' as pydantic lists them, in the quotes of JSON."""
    return expected.replace("'", '"')


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "enum": lambda context: f"allowed are {_quoted(context['expected'])}",
    "literal_error": lambda context: f"allowed are {_quoted(context['expected'])}",
    "greater_than": lambda context: f"it must be above {context['gt']:g}",
    "greater_than_equal": lambda context: f"it must be at least {context['ge']:g}",
    "less_than": lambda context: f"it must be below {context['lt']:g}",
    "less_than_equal": lambda context: f"it must be at most {context['le']:g}",
    "finite_number": lambda _: "it must be a finite number",
    "int_type": lambda _: "it must be a whole number",
    "int_from_float": lambda _: "it must be a whole number",
    "float_type": lambda _: "it must be a number",
    "bool_type": lambda _: "it must be true or false",
    "string_type": lambda _: "it must be a text",
    "string_too_short": lambda _: "it must not be empty",
    "tuple_type": lambda _: "it must be a list",
    "too_short": lambda context: f"it needs at least {context['min_length']}",
    "too_long": lambda context: f"it takes at most {context['max_length']}",
    "model_type": lambda _: "it must be an object with fields",
}


def _unknown(path: Path, root: type[BaseModel]) -> str:
    """The field is not known: the nearest one beside it, or one of this name elsewhere."""
    name = str(path[-1])
    section = _model_at(path[:-1], root)
    if section is None:
        return "there is no such field"
    beside = difflib.get_close_matches(name, section.model_fields, n=1)
    if beside:
        return f"there is no such field; did you mean {_dotted((*path[:-1], beside[0]))}?"
    elsewhere = [_dotted(found) for found in _paths(root) if found[-1] == name]
    if elsewhere:
        return f"there is no such field here; did you mean {' or '.join(elsewhere)}?"
    return f"there is no such field; there are {', '.join(section.model_fields)}"


def _described(path: Path, root: type[BaseModel]) -> str:
    section = _model_at(path[:-1], root)
    field = section.model_fields.get(str(path[-1])) if section else None
    return _lowered(field.description or "").rstrip(".") if field else ""


def _model_at(path: Path, root: type[BaseModel]) -> type[BaseModel] | None:
    model: type[BaseModel] | None = root
    for part in path:
        field = model.model_fields.get(str(part)) if model else None
        model = _model_of(field.annotation) if field else None
    return model


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The section in `Section` or `Section | None`."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _paths(model: type[BaseModel], before: Path = ()) -> Iterator[Path]:
    for name, field in model.model_fields.items():
        yield (*before, name)
        inner = _model_of(field.annotation)
        if inner is not None:
            yield from _paths(inner, (*before, name))
