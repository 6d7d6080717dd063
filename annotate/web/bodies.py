"""Taking in the body of a request: no more than was agreed, and not for longer."""

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError
from typing import Any

from annotate.web.rooms import MB

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

# A body of a few bytes comes with the request's head or soon after; a large one takes its time.
DEADLINE_S = 10.0
SLOWEST = 32 * 1024  # bytes a second that are waited for beyond that
STALL_S = 30.0  # an upload that says nothing for so long has ended
# What is refused before it has come is taken in all the same, while it comes fast.
REST_S, PAUSE_S = 10.0, 1.0
# Of one process, of bodies that are still coming in; what is small does not count.
HELD = 64 * MB
SMALL = 64 * 1024


class TooLarge(Exception):
    def __init__(self, largest: int) -> None:
        super().__init__(f"the body is larger than {largest} bytes")
        self.largest = largest


class TooSlow(Exception):
    """The rest of the body did not come in time."""


class NoRoom(Exception):
    """Too many large bodies are coming in at once."""


class Gone(Exception):
    """The client went away before its request was whole."""


def length_of(headers: Mapping[bytes, bytes]) -> int | None:
    """What the head says of the body's bytes; None: they come in chunks until they end."""
    if b"transfer-encoding" in headers:
        return None
    said = headers.get(b"content-length", b"0")
    return int(said) if said.isdigit() else None


class Line:
    """What comes of one request, message by message. over: nothing more of its body comes."""

    def __init__(self, receive: Receive, length: int | None) -> None:
        self._receive = receive
        self.over = length == 0

    async def __call__(self) -> Mapping[str, Any]:
        message = await self._receive()
        self.over = not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Take the rest and keep nothing of it: an answer to who is still sending may be lost.

        Closing the connection on them resets it (RFC 9112, 9.6); a proxy makes a 502 of that, or
        ends its side as soon as an answer begins.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REST_S):
                while not self.over:
                    async with asyncio.timeout(PAUSE_S):
                        await self()


class Intake:
    """The bodies that are coming into one process."""

    def __init__(self) -> None:
        self._held = 0

    async def whole(self, receive: Receive, length: int | None, largest: int) -> io.BytesIO:
        """The body. length: of `length_of`. Raises TooLarge, TooSlow, NoRoom, Gone."""
        if length == 0:
            return io.BytesIO()
        if length is not None and length > largest:
            raise TooLarge(largest)
        expected = largest if length is None else length
        body = io.BytesIO()
        try:
            async with asyncio.timeout(DEADLINE_S + expected / SLOWEST):
                await self._read(receive, body, largest)
        except TimeoutError:
            raise TooSlow from None
        finally:
            self._held -= _counted(body.tell())
        body.seek(0)
        return body

    async def _read(self, receive: Receive, body: io.BytesIO, largest: int) -> None:
        more = True
        while more:
            chunk, more = _chunk_of(await receive())
            before = _counted(body.tell())
            body.write(chunk)
            self._held += _counted(body.tell()) - before
            if body.tell() > largest:
                raise TooLarge(largest)
            if self._held > HELD and body.tell() > SMALL:
                raise NoRoom


def _counted(size: int) -> int:
    return size if size > SMALL else 0


def _chunk_of(message: Mapping[str, Any]) -> tuple[bytes, bool]:
    """The bytes, and whether more may come."""
    if message["type"] == "http.disconnect":
        raise Gone
    return message.get("body", b""), message.get("more_body", False)


class Upload(io.RawIOBase):
    """A body that its reader, in a thread, takes from the event loop as it comes.

    Read by the view after it knows who asks. Raises TimeoutError when nothing comes for STALL_S,
    ConnectionResetError when the client went away; Django makes UnreadablePostError of both.
    """

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        self._receive, self._loop = receive, loop
        self._rest, self._more = b"", True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and self._more:
            self._rest, self._more = self._next()
        taken = self._rest[: len(buffer)]
        self._rest = self._rest[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)

    def _next(self) -> tuple[bytes, bool]:
        coming = asyncio.run_coroutine_threadsafe(self._one(), self._loop)
        try:
            return _chunk_of(coming.result())
        except (Gone, CancelledError):
            raise ConnectionResetError("the client went away") from None

    async def _one(self) -> Mapping[str, Any]:
        async with asyncio.timeout(STALL_S):
            return await self._receive()
