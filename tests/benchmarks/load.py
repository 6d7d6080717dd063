"""A lean HTTP client for load: what it takes of the two cores, the server does not get."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

DEADLINE_S = 30.0


@dataclass(slots=True)
class Browser:
    """One keep-alive connection with a session, as a labeler's browser has it."""

    host: str
    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None

    async def sign_in(self, username: str, password: str) -> Self:
        await self.call("GET", "/api/session")
        status, body = await self.call(
            "POST", "/api/session", {"username": username, "password": password}
        )
        if status != 200:
            raise RuntimeError(f"{username} cannot sign in: {body}")
        return self

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and decoded answer."""
        async with asyncio.timeout(DEADLINE_S):
            if self._writer is None or self._writer.is_closing():
                self._reader, self._writer = await asyncio.open_connection(self.host, self.port)
            assert self._reader is not None
            self._writer.write(self._request(method, path, body))
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(head[0].split(" ", 2)[1])
            length = 0
            for line in head[1:]:
                name, _, value = line.partition(": ")
                match name.lower():
                    case "content-length":
                        length = int(value)
                    case "set-cookie":
                        cookie, _, _ = value.partition(";")
                        key, _, text = cookie.partition("=")
                        self.cookies[key.strip()] = text
            raw = await self._reader.readexactly(length)
            return status, orjson.loads(raw) if raw else None

    def _request(self, method: str, path: str, body: Any) -> bytes:
        content = b"" if body is None else orjson.dumps(body)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nCookie: {cookies}\r\n"
            f"X-CSRFToken: {self.cookies.get('csrftoken', '')}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content
