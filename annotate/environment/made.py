"""What is made where nothing is given: free ports, generated secrets, kept in files."""

import os
import random
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

PORTS = range(20_000, 30_000)  # below those that systems give to outgoing connections


def free_port() -> int:
    """A loopback TCP port that nobody uses now.

    Its server may open it a minute later, so it is none of those that the system gives to whoever
    connects or asks for any, and the choice is by chance: two that look at once find two.
    """
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no port from {PORTS[0]} to {PORTS[-1]} is free")


def write_once(path: Path, text: str) -> None:
    """Write a file whole or not at all; when another process was first, keep that one's."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
        os.link(draft, path)
    except FileExistsError:
        pass  # the other process's is as good as ours
    finally:
        Path(draft).unlink()
