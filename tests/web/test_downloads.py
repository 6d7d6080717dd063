"""A long answer goes out from a room of its own, and ends when its client or its maker does."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import StreamingHttpResponse

from annotate.web.site import CHUNK, Download, gathered


class Client:
    """Takes what is sent, and hangs up after `most` messages."""

    def __init__(self, most: int = 10**9) -> None:
        self.sent: list[dict[str, Any]] = []
        self.most = most
        self.left = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if len(self.sent) >= self.most:
            self.left.set()
            await asyncio.sleep(0)  # the one who watches comes first

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    @property
    def body(self) -> bytes:
        return b"".join(each.get("body", b"") for each in self.sent)


def sent_to(client: Client, chunks: Iterator[bytes]) -> Client:
    async def go_out() -> None:
        download = Download(StreamingHttpResponse(chunks), client.receive, client.send)
        await asyncio.to_thread(download.run)

    asyncio.run(go_out())
    return client


def test_it_comes_whole_and_in_order() -> None:
    parts = [bytes([number]) * 1000 for number in range(200)]
    client = sent_to(Client(), iter(parts))
    assert client.body == b"".join(parts)
    start, *_, end = client.sent
    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert end == {"type": "http.response.body", "body": b""}
    assert len(client.sent) < 10, "in few pieces"


def test_it_ends_with_its_client() -> None:
    made: list[int] = []

    def endless() -> Iterator[bytes]:
        try:
            while True:
                made.append(CHUNK)
                yield b"x" * CHUNK
        finally:
            made.append(0)

    client = sent_to(Client(most=5), endless())
    assert made[-1] == 0, "what made it was closed"
    assert len(made) < 20
    assert client.sent[-1].get("more_body") is True


def test_one_that_breaks_is_not_ended_as_if_it_were_whole() -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * CHUNK
        raise ConnectionError("the database went away")

    client = Client()
    with pytest.raises(ConnectionError):
        sent_to(client, broken())
    assert client.sent[-1].get("more_body") is True


def test_small_pieces_are_gathered() -> None:
    assert [len(piece) for piece in gathered([b"x"] * (CHUNK + 1))] == [CHUNK, 1]
    assert list(gathered([])) == []
