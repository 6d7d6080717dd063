"""Sessions of the database, read through the cache; without the cache, of the database alone.

What ends a session still wants the cache: one that stayed there would be good again later.
"""

from typing import Any

from django.contrib.sessions.backends import cached_db, db
from redis import RedisError


class SessionStore(cached_db.SessionStore):
    def load(self) -> dict[str, Any]:
        try:
            return super().load()
        except RedisError:  # it was read, and could not be put into the cache
            return db.SessionStore.load(self)

    def exists(self, session_key: str) -> bool:
        try:
            return bool(super().exists(session_key))
        except RedisError:
            return db.SessionStore.exists(self, session_key)
