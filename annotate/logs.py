"""Log lines of every process of Prefloop, without passwords and keys."""

import logging
from typing import Literal

from annotate.environment import without_secrets


class Hiding(logging.Formatter):
    """What another formatter writes, tracebacks included, without secrets."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(self._inner.format(record))


def hiding(format: str, style: Literal["%", "{", "$"]) -> Hiding:
    """For Django's LOGGING."""
    return Hiding(logging.Formatter(format, style=style))


def hide_in(logger: logging.Logger) -> None:
    """Let the logger's handlers write so, whatever they write."""
    for handler in logger.handlers:
        handler.setFormatter(Hiding(handler.formatter or logging.Formatter()))
