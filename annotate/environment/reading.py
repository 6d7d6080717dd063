"""The environment of this process, read once; what is wrong with it, in one line a variable."""

import os
from functools import lru_cache

from pydantic import ValidationError

from annotate.environment.derived import Environment
from annotate.environment.fields import CHECKOUT
from annotate.environment.secrecy import without_secrets

EXPECTED = {  # pydantic's kinds of problem in the words of the README
    "bool_parsing": "expected true or false",
    "literal_error": "expected {expected}",
    "int_parsing": "expected a whole number",
    "float_parsing": "expected a number",
    "greater_than_equal": "expected a whole number of at least {ge}",
    "less_than_equal": "expected a whole number of at most {le}",
}


class BadEnvironment(SystemExit):
    """Some variables cannot be used. `lines` holds one sentence for each of them."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


@lru_cache(maxsize=1)
def read() -> Environment:
    """The environment of this process, read once.

    Raises BadEnvironment (a SystemExit) with one line for each variable that cannot be used.
    """
    try:
        return Environment()
    except ValidationError as error:
        raise BadEnvironment(_explain(error)) from None


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        reason = EXPECTED.get(problem["type"], "{msg}").format(**problem, **problem.get("ctx", {}))
        reason = reason.removeprefix("Value error, ")
        if not problem["loc"]:
            lines.append(reason)
            continue
        name = str(problem["loc"][0]).upper()
        value = without_secrets(os.environ.get(name, ""))
        shown = "" if "KEY" in name else f", not {value!r}"
        lines.append(f"{name}: {reason}{shown}")
    return lines


def variables() -> list[tuple[str, str, str]]:
    """Name, default as one would write it, and meaning of every variable, in order."""
    rows = []
    for field_name, field in Environment.model_fields.items():
        name = str(field.validation_alias or field_name)
        default = field.default
        if isinstance(default, tuple):
            default = ",".join(default)
        if default == {}:
            default = ""
        if isinstance(default, bool):
            default = str(default).lower()
        if default == CHECKOUT / "var":
            default = "var"
        rows.append((name.upper(), str(default), field.description or ""))
    return rows
