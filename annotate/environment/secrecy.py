"""No password and no key in what a person or a log reads."""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote

HIDDEN = "•••"
SHORTEST_SECRET = 6  # shorter ones are words as well
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
# Of an address what stands before the last @ of its host; a password may hold an @ or a slash that
# nobody quoted.
_WHO = re.compile(r"(?<=://)(?:[^\s\"'<>]*:[^\s\"'<>]*|[^\s/\"'<>@]+)(?=@)")
_ASKED = re.compile(r"((?:password|passwd|secret|token|api_?key)=)[^\s&\"'<>]+", re.IGNORECASE)


def without_secrets(text: str, environment: Mapping[str, str] | None = None) -> str:
    """The text without passwords in addresses, and without the secrets of the environment.

    environment: whose variables that are named like a secret, and passwords in addresses, are not
    shown wherever they stand; this process's unless given.
    """
    known = os.environ if environment is None else environment
    for secret in _secrets(tuple(known.items())):
        text = text.replace(secret, HIDDEN)
    return _ASKED.sub(rf"\1{HIDDEN}", _WHO.sub(HIDDEN, text))


@lru_cache(maxsize=8)
def _secrets(variables: tuple[tuple[str, str], ...]) -> list[str]:
    """Longest first: one may be a part of another."""
    found = set()
    for name, value in variables:
        if _SECRET_NAME.search(name):
            found.add(value.strip())
        for who in _WHO.findall(value):
            password = who.partition(":")[2]
            found |= {password, unquote(password)}
    return sorted((one for one in found if len(one) >= SHORTEST_SECRET), key=len, reverse=True)
