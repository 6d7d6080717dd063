"""A middleware of vLLM: its key on every route.

vLLM's own (0.32) asks for the key below some paths only: whoever reached the port loaded, replaced
and deleted adapters by the others (`/adapters`, `/invocations`, `/scale_elastic_ep`). Here all but
`GET /health`, which probes ask, wants it. vLLM is told of it by `--middleware` (`inference.local`)
and finds it by PYTHONPATH; it runs inside of the server and imports nothing of Prefloop.
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from hmac import compare_digest
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

VARIABLE = "VLLM_API_KEY"
OPEN = {("GET", "/health"), ("HEAD", "/health")}
REFUSAL = b'{"error":{"message":"The API key is missing or wrong.","code":401}}'


class KeyOnEveryRoute:
    """Answers 401 to what comes without `Authorization: Bearer <VLLM_API_KEY>`."""

    def __init__(self, app: Application) -> None:
        """Raises RuntimeError without a key: the server then does not start."""
        key = os.environ.get(VARIABLE, "")
        if not key:
            raise RuntimeError(f"{VARIABLE} is not set: nobody could be told from a stranger")
        self._app = app
        self._expected = _digest(f"Bearer {key}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._may(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "API key"})
        else:
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(REFUSAL)).encode()),
                (b"www-authenticate", b"Bearer"),
            ]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": REFUSAL})

    def _may(self, scope: Scope) -> bool:
        if scope["type"] == "http" and (scope["method"], scope["path"]) in OPEN:
            return True
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and compare_digest(_digest(given[0]), self._expected)


def _digest(text: bytes) -> bytes:
    """Of one length for all, so that comparing takes as long for each."""
    return sha256(text).digest()
