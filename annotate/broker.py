"""Repairs Celery's way back to a Redis or Valkey that died.

When the connection is lost, kombu (5.7) closes it before the channel, whose messages it then wants
to hand back: the channel asks what is gone for its address. An AttributeError is none of the errors
that a worker survives, so one with a job in hand ended. Named as what it is, a lost connection, it
is passed over like every other; the messages come back by themselves, and beat sends waiting work
again.
"""

from typing import Any

import redis
from kombu.transport import redis as kombu_redis

_CHANNEL: Any = kombu_redis.Channel
_of_kombu = _CHANNEL._connparams


def survive_lost_connections() -> None:
    """May be called several times."""
    _CHANNEL._connparams = _connection_parameters


def _connection_parameters(channel: Any, asynchronous: bool = False) -> Any:
    if channel.connection.client is None:
        raise redis.ConnectionError("the connection of this channel is closed")
    return _of_kombu(channel, asynchronous)
