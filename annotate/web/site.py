"""The site as an ASGI application: Django's own synchronous chain, in rooms of threads.

A body is taken in before a thread is, and a long answer goes out from a room of its own, so a slow
line takes no place from anybody. Django's own ASGI handler starts a thread for every request, with
a connection to the database.
"""

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import IO, Any, cast

from django.core import signals
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.db import close_old_connections
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import set_script_prefix

from annotate.api.errors import of_address, too_large
from annotate.web import bodies
from annotate.web.rooms import DOWNLOAD, KINDS, MB, Full, Kind, Room, kind_of

Send = Callable[[dict[str, Any]], Awaitable[None]]

log = logging.getLogger(__name__)

SEND_S = 60.0  # a client that takes nothing for so long has gone
CHUNK = 64 * 1024
# A file up to this size is sent at once: whoever fetches it slowly holds memory, not a thread.
AT_ONCE = 2 * MB


class Site(BaseHandler):
    """What granian calls for every request."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware()
        self._rooms = {kind: Room(kind) for kind in KINDS}
        self._intake = bodies.Intake()

    async def __call__(self, scope: Mapping[str, Any], receive: bodies.Receive, send: Send) -> None:
        kind = kind_of(scope["method"], scope["path"])
        length = bodies.length_of(dict(scope["headers"]))
        line = bodies.Line(receive, length)
        try:
            body = await self._taken_in(kind, line, length)
            response = await self._rooms[kind].run(self._answer, scope, body)
            if isinstance(response, StreamingHttpResponse):
                return await self._send_as_made(response, line, send)
        except bodies.Gone:
            return None
        except (bodies.TooLarge, bodies.TooSlow, bodies.NoRoom, Full) as problem:
            response = refusal(scope["path"], problem)
        await line.drain()
        await send(_head(response))
        return await send({"type": "http.response.body", "body": response.content})

    async def _taken_in(self, kind: Kind, line: bodies.Line, length: int | None) -> IO[bytes]:
        if kind.largest_body is None:
            return io.BufferedReader(bodies.Upload(line, asyncio.get_running_loop()), CHUNK)
        return await self._intake.whole(line, length, kind.largest_body)

    def _answer(
        self, scope: Mapping[str, Any], body: IO[bytes]
    ) -> HttpResponse | StreamingHttpResponse:
        """In a thread. Closed already, unless it is to be made while it goes out."""
        set_script_prefix("/")
        signals.request_started.send(sender=type(self), scope=scope)
        try:
            request = ASGIRequest(scope, body)
        except UnicodeDecodeError:
            return of_address(scope["path"], 400, "invalid", "This address is not UTF-8.")
        response = self.get_response(request)
        if isinstance(response, StreamingHttpResponse):
            if int(response.headers.get("Content-Length", AT_ONCE + 1)) > AT_ONCE:
                return response
            # It is not an asynchronous one.
            whole = HttpResponse(b"".join(response), status=response.status_code)
            whole.headers, whole.cookies = response.headers, response.cookies
            response.close()
            return whole
        response.close()
        return cast(HttpResponse, response)

    async def _send_as_made(
        self, response: StreamingHttpResponse, receive: bodies.Receive, send: Send
    ) -> None:
        try:
            await self._rooms[DOWNLOAD].run(Download(response, receive, send).run)
        except Full:
            response.close()
            raise


class Download:
    """An answer that is made while it goes out, in a thread that waits for the client."""

    def __init__(
        self, response: StreamingHttpResponse, receive: bodies.Receive, send: Send
    ) -> None:
        self._response, self._receive, self._send = response, receive, send
        self._loop = asyncio.get_running_loop()
        self._gone = False

    def run(self) -> None:
        """Raises what making the answer raises; then its end is missing."""
        close_old_connections()
        watch = asyncio.run_coroutine_threadsafe(self._watch(), self._loop)
        try:
            self._push(_head(self._response))
            for chunk in gathered(cast(Iterable[bytes], self._response)):
                self._push({"type": "http.response.body", "body": chunk, "more_body": True})
            self._push({"type": "http.response.body", "body": b""})
        except (bodies.Gone, TimeoutError):
            log.info("a download was broken off by the client")
        finally:
            watch.cancel()
            self._response.close()

    def _push(self, message: dict[str, Any]) -> None:
        asyncio.run_coroutine_threadsafe(self._pushed(message), self._loop).result()

    async def _pushed(self, message: dict[str, Any]) -> None:
        if self._gone:
            raise bodies.Gone
        async with asyncio.timeout(SEND_S):
            await self._send(message)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True


def gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of CHUNK or more: each is handed to another thread."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        if len(held) >= CHUNK:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def refusal(path: str, problem: Exception) -> HttpResponse:
    """What is said to a request that gets no further than the door."""
    match problem:
        case bodies.TooLarge(largest=largest):
            return too_large(path, largest)
        case bodies.TooSlow():
            message = "The request did not arrive in time. Check the connection and try again."
            return of_address(path, 408, "too_slow", message, retry=True)
        case Full(kind=kind):
            status = kind.refusal
        case _:
            status = 503
    message = "The server has too much of this to do. Try again in a moment."
    return of_address(path, status, "busy", message, retry=True)


def _head(response: HttpResponseBase) -> dict[str, Any]:
    headers = [
        (name.lower().encode("ascii"), value.encode("latin-1")) for name, value in response.items()
    ]
    headers += [
        (b"set-cookie", cookie.OutputString().encode("ascii"))
        for cookie in response.cookies.values()
    ]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}
