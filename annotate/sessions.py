"""Sessions in cache and database, and for a moment in the process.

A labeler at work sends several requests a second; each would ask the cache for the same session.
A sign-out reaches the other processes within KEPT_FOR_S.
"""

import time
from typing import Any

from django.contrib.sessions.backends import cached_db

KEPT_FOR_S = 2.0
MOST_KEPT = 10_000
_kept: dict[str, tuple[float, dict[str, Any]]] = {}


class SessionStore(cached_db.SessionStore):
    def load(self) -> dict[str, Any]:
        now = time.monotonic()
        kept = _kept.get(self.session_key or "")
        if kept is not None and now - kept[0] < KEPT_FOR_S:
            return dict(kept[1])
        data: dict[str, Any] = super().load()
        if data and self.session_key:
            if len(_kept) >= MOST_KEPT:
                _kept.clear()
            _kept[self.session_key] = (now, dict(data))
        return data

    def save(self, must_create: bool = False) -> None:
        _kept.pop(self.session_key or "", None)
        super().save(must_create)

    def delete(self, session_key: str | None = None) -> None:
        _kept.pop(session_key or self.session_key or "", None)
        super().delete(session_key)
