"""Strangers who do their worst: `python tests/benchmarks/strangers_attacks.py NAME PORT COOKIES`.

A script of its own without Django or this package, so that it starts at once and takes little of
the cores. COOKIES: of an owner's session, for the attack that needs one. Goes on until it is ended.
"""

import asyncio
import contextlib
import itertools
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable

HOST = "127.0.0.1"
LARGE = 60 * 2**20
PAUSE_S = 0.05

Attack = Callable[[int, str], Awaitable[None]]
_numbers = itertools.count(1)


async def slow_body(port: int, cookies: str) -> None:
    """One byte of a hundred, for as long as the server puts up with it."""
    await posted(port, "/api/session", 100, [b"{"])


async def large_body(port: int, cookies: str) -> None:
    """60 MB of JSON that would take fifty times as much memory."""
    block = b"[]," * 20_000
    await posted(port, "/api/session", LARGE, [b'{"username":[', *[block] * (LARGE // len(block))])


async def sign_in(port: int, cookies: str) -> None:
    await posted_json(port, "/api/session", {"username": f"n{time.time_ns()}", "password": "no"})


async def schema(port: int, cookies: str) -> None:
    await asked(port, b"GET /api/schema HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")


async def estimate(port: int, cookies: str) -> None:
    """Each is another one: what is known already would cost nothing."""
    values = {"training": {"max_steps": time.time_ns() // 1000 % 1_000_000 + next(_numbers)}}
    body = {"snapshot": 1, "method": "dpo", "values": values}
    await posted_json(port, "/api/projects/bench/runs/estimate", body, cookies)


async def posted_json(port: int, path: str, body: object, cookies: str = "") -> None:
    token = re.search("csrftoken=([^;]+)", cookies)
    more = f"Cookie: {cookies}\r\nX-CSRFToken: {token[1]}\r\n" if token else ""
    text = json.dumps(body).encode()
    await posted(port, path, len(text), [text], more)


async def posted(port: int, path: str, length: int, parts: list[bytes], more: str = "") -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{more}"
    head += f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    await asked(port, head.encode(), *parts)


async def asked(port: int, *parts: bytes) -> None:
    """Sends what the server takes, and waits until it ends the connection."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        while await reader.read(2**16):
            pass
    finally:
        writer.close()


ATTACKS: dict[str, tuple[Attack, int]] = {
    "slow bodies": (slow_body, 100),
    "large bodies": (large_body, 4),
    "sign-ins": (sign_in, 16),
    "schemas": (schema, 8),
    "estimates": (estimate, 16),
}


async def main(name: str, port: int, cookies: str) -> None:
    act, clients = ATTACKS[name]

    async def client() -> None:
        while True:
            with contextlib.suppress(OSError):
                await act(port, cookies)
            await asyncio.sleep(PAUSE_S)

    await asyncio.gather(*(client() for _ in range(clients)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
