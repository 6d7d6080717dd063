"""JSON by orjson: the labeling requests would spend most of their time in a slower encoder."""

import logging
from collections.abc import Mapping
from typing import IO, Any

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from annotate.errors import TooLarge
from formats.echo import echo, visible
from formats.nesting import DEEPEST, too_deep

log = logging.getLogger(__name__)

OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
HUGE = 2**63  # whole numbers on either side of it are written as texts
LARGEST = 2**20  # bytes of a body


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Bytes of UTF-8; nothing for an empty response."""
        if data is None:
            return b""
        try:
            return orjson.dumps(data, default=str, option=OPTIONS)
        except TypeError:  # half a surrogate pair, a number over 64 bits, a key that is none
            log.exception("an answer could not be written as it is")
            return orjson.dumps(_writable(data), default=str, option=OPTIONS)


class JSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Any JSON value. Raises ParseError for what is none, or not UTF-8, or nested too deep.

        Raises RequestDataTooBig for more than the view takes: its `largest_json` in bytes.
        """
        largest = getattr((parser_context or {}).get("view"), "largest_json", LARGEST)
        body = stream.read(largest + 1)
        if len(body) > largest:
            raise TooLarge(largest)
        if too_deep(body):
            raise ParseError(
                f"The request is nested too deeply: {DEEPEST} levels are the most. Flatten it."
            )
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as problem:
            raise ParseError(f"The request is not valid JSON: {problem}.") from None


def _writable(data: Any, depth: int = 0) -> Any:
    """The same with everything that orjson refuses made visible."""
    if depth > DEEPEST:
        return "…"
    if isinstance(data, Mapping):
        return {visible(str(key)): _writable(value, depth + 1) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_writable(each, depth + 1) for each in data]
    if isinstance(data, str):
        return visible(data)
    if isinstance(data, int) and not -HUGE <= data < HUGE:
        return echo(data)
    return data
