"""How jobs leave: after the commit, by name, with ids."""

import logging
import time

import kombu.exceptions
import redis
from celery import current_app
from django.db import transaction

# Beat sends waiting work again, so an unread message is soon worth nothing.
EXPIRES_S = 60.0
PAUSE_S = 5.0  # after a failure, in which nobody waits for the broker
AWAY = (kombu.exceptions.OperationalError, redis.RedisError, OSError)
log = logging.getLogger(__name__)
_again_at = 0.0


def enqueue(task_name: str, **ids: int) -> None:
    """Send a job once the surrounding transaction has committed.

    A broker that is down loses nothing: beat's `annotate.advance_rounds` finds waiting work in
    the database and sends it again, so the request that caused it need not fail.
    """
    # Not a partial: Django asks a hook that fails for its name.
    transaction.on_commit(lambda: _send(task_name, ids), robust=True)


def _send(task_name: str, ids: dict[str, int]) -> None:
    global _again_at
    if time.monotonic() < _again_at:
        return
    try:
        current_app.send_task(task_name, kwargs=ids, retry=False, expires=EXPIRES_S)
    except AWAY as error:
        _again_at = time.monotonic() + PAUSE_S
        log.warning("%s was not sent, beat will send it: %s", task_name, error)
