"""What an edit was made from: something newer is never written over unseen."""

import hashlib
from typing import Any

import orjson

from annotate.errors import Conflict

LENGTH = 16


def version_of(content: Any) -> str:
    """Names JSON values by what they say: the same for the same content."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:LENGTH]


def refuse_outdated(base: str | None, now: str, what: str) -> None:
    """base: the version that was edited; None: the client means the newest. Raises Conflict."""
    if base is None or base == now:
        return
    raise Conflict(
        f"Somebody else changed {what} meanwhile. Look at what is saved now, then save again.",
        code="outdated",
        version=now,
    )
