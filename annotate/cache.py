"""Django's Redis cache with one client a process instead of a new one for every call.

Making a client costs more than asking the server, and every request reads its session.

A server that is away raises redis.RedisError, which the API answers with 503. What is kept only to
save time goes through `recall`, `keep` and `forget`, which do without it.
"""

import logging
import time
from typing import Any

import redis
from django.core.cache import cache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient

PAUSE_S = 5.0  # after a time-out, for which nobody else waits
log = logging.getLogger(__name__)


class OneWaits(redis.Redis):
    """After a time-out all that is asked in the next seconds fails at once.

    A server that hangs would otherwise cost every request its time-out, in one of few places.
    """

    _again_at = 0.0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if time.monotonic() < self._again_at:
            raise redis.TimeoutError("the server did not answer a moment ago")
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except redis.TimeoutError:
            self._again_at = time.monotonic() + PAUSE_S
            raise


class KeptClient(RedisCacheClient):
    """Keeps a client for each server; redis-py's clients may be shared by threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept: dict[int, redis.Redis] = {}

    def get_client(self, key: Any = None, *, write: bool = False) -> redis.Redis:
        pool = self._get_connection_pool(write)  # type: ignore[attr-defined]
        client = self._kept.get(id(pool))
        if client is None:
            client = self._kept[id(pool)] = OneWaits(connection_pool=pool)
        return client


class Cache(RedisCache):
    def __init__(self, server: str | list[str], params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = KeptClient


def recall(key: str) -> Any:
    """What was kept; None: nothing, or the server is away."""
    try:
        return cache.get(key)
    except redis.RedisError as error:
        log.warning("%s could not be read from the cache: %s", key, error)
        return None


def keep(key: str, value: Any, seconds: float) -> None:
    """Keep what can be worked out again."""
    try:
        cache.set(key, value, seconds)
    except redis.RedisError as error:
        log.warning("%s could not be kept in the cache: %s", key, error)


def forget(key: str) -> None:
    """Let go what ends by itself soon."""
    try:
        cache.delete(key)
    except redis.RedisError as error:
        log.warning("%s could not be removed from the cache: %s", key, error)
