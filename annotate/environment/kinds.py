"""What the values of variables are made of that are no addresses."""

import json
import re
import shlex
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue
from pydantic_settings import NoDecode

from inference.adapter_files import RANKS

_KEY = re.compile(r"[!-~]+")


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _api_key(value: str) -> str:
    if value and not _KEY.fullmatch(value):
        raise ValueError("expected a key of ASCII letters, digits and signs, without spaces")
    return value


def _secret(value: str) -> str:
    if value and len(value) < 32:
        raise ValueError("expected at least 32 characters")
    return value


def _absolute(value: Path) -> Path:
    return value.expanduser().absolute()


def _file(value: str) -> str:
    if value and not Path(value).expanduser().is_file():
        raise ValueError("expected a file")
    return str(Path(value).expanduser().absolute()) if value else ""


def _command_line(value: str) -> str:
    try:
        shlex.split(value)
    except ValueError as problem:
        raise ValueError(f"expected a command line ({problem})") from None
    return value


def _json_object(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError('expected a JSON object, as {"enable_thinking": false}')
    return found


def _rank(value: int) -> int:
    if value not in RANKS:
        raise ValueError(f"expected a rank that vLLM takes: {', '.join(map(str, RANKS))}")
    return value


def _share(value: float) -> float:
    if not 0 <= value <= 0.98:
        raise ValueError("expected a number from 0 to 0.98")
    return value


CommaSeparated = BeforeValidator(_split)
ApiKey = Annotated[str, AfterValidator(_api_key)]
SecretKey = Annotated[str, AfterValidator(_secret)]
Folder = Annotated[Path, AfterValidator(_absolute)]
File = Annotated[str, AfterValidator(_file)]
CommandLine = Annotated[str, AfterValidator(_command_line)]
JsonObject = Annotated[dict[str, JsonValue], NoDecode, BeforeValidator(_json_object)]
Rank = Annotated[int, AfterValidator(_rank)]
Gpu = Annotated[int, Field(ge=0, le=255)]
Gpus = Annotated[tuple[Gpu, ...], NoDecode, CommaSeparated]
Share = Annotated[float, AfterValidator(_share)]
