"""PostgreSQL advisory locks: one process at a time, released by the server if the process dies."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def try_lock(name: str) -> Iterator[bool]:
    """Yields at once: True with the lock held until the block ends, False if another holds it.

    The lock belongs to the database session, not to a transaction, so that no transaction stays
    open while a server is being waited for.
    """
    key = key_of(name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        held = bool(cursor.fetchone()[0])
    try:
        yield held
    finally:
        if held:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])


@contextmanager
def lock_within(name: str, seconds: float) -> Iterator[bool]:
    """Like `try_lock`, but keeps trying for a while."""
    limit = time.monotonic() + seconds
    while True:
        with try_lock(name) as held:
            if held or time.monotonic() > limit:
                yield held
                return
        time.sleep(0.05)


def key_of(name: str) -> int:
    """The number under which PostgreSQL knows the lock."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
