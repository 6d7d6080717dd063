"""Whoever sends slowly, or not at all, holds no place that others need."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from annotate.models import Prompt, User
from tests.services import Site
from tests.web.conftest import connected, head, signed_in

SOCKETS = 100
PROMPTS = '{"prompt": "One"}\n{"prompt": "Two"}\n'


@pytest.fixture
def slow(site: Site) -> Iterator[list[socket.socket]]:
    """A hundred requests of which one byte of the body has come."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(connected(site)) for _ in range(SOCKETS)]
        for each in sockets:
            each.sendall(head(site, "/api/session", 100, "Content-Type: application/json") + b"{")
        yield sockets


def test_a_hundred_of_them_keep_nobody_waiting(
    lena: httpx.Client, slow: list[socket.socket], stranger: httpx.Client
) -> None:
    for _ in range(3):
        assert stranger.get("/api/health").status_code == 200
        answer = lena.post("/api/projects/tone/claims", json={"have": []})
        assert answer.json()["claim"] is not None
        assert stranger.get("/sign-in").status_code in (200, 503)  # built or not, it answers
    for each in slow:  # none of them was answered meanwhile: they were still held
        each.setblocking(False)
        with pytest.raises(BlockingIOError):
            each.recv(1)


def test_they_are_told_when_their_time_is_over(slow: list[socket.socket]) -> None:
    answer = slow[0].recv(4096)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"too_slow"' in answer
    assert b"Check the connection" in answer


def test_a_body_in_pieces_is_put_together(site: Site, transactional_db: None) -> None:
    body = b'{"username": "nobody", "password": "wrong"}'
    with connected(site) as connection:
        kind = "Content-Type: application/json"
        connection.sendall(head(site, "/api/session", len(body), kind))
        for byte in body:
            connection.sendall(bytes([byte]))
        assert b'"wrong_credentials"' in connection.recv(4096)


def test_a_client_that_goes_away_leaves_no_trace(site: Site, stranger: httpx.Client) -> None:
    for _ in range(40):
        with connected(site) as connection:
            connection.sendall(head(site, "/api/session", 100) + b"{")
    assert stranger.get("/api/health").status_code == 200


def test_an_upload_takes_its_time(site: Site, ada: User, project: object) -> None:
    """It is read as it comes, by a view that knows who asks."""
    before = Prompt.objects.count()
    with signed_in(site, ada) as browser:
        files = {"file": ("prompts.jsonl", PROMPTS.encode() + (b" " * 2**19 + b"\n") * 6)}
        answer = browser.post("/api/projects/tone/prompts/import", files=files)
    assert answer.json()["imported"] == 2
    assert Prompt.objects.count() == before + 2


def test_a_stranger_s_upload_is_refused_before_it_has_come(site: Site) -> None:
    with connected(site) as connection:
        kind = "Content-Type: multipart/form-data; boundary=x"
        connection.sendall(head(site, "/api/projects/tone/prompts/import", 200 * 2**20, kind))
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_so_is_one_into_somebody_else_s_project(site: Site, lena: httpx.Client) -> None:
    with connected(site) as connection:
        more = [
            "Content-Type: multipart/form-data; boundary=x",
            "Cookie: " + "; ".join(f"{name}={value}" for name, value in lena.cookies.items()),
            f"X-CSRFToken: {lena.headers['X-CSRFToken']}",
        ]
        connection.sendall(head(site, "/api/projects/tone/prompts/import", 200 * 2**20, *more))
        assert connection.recv(4096).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [("/api/session", 2_000_000, 413), ("/api/projects/tone/prompts/import", 20_000_000, 401)],
)
def test_who_sends_everything_before_reading_gets_the_answer(
    site: Site, transactional_db: None, path: str, size: int, status: int
) -> None:
    """As proxies do: closed on them, the connection is reset and the answer lost."""
    with connected(site) as connection:
        kind = "Content-Type: multipart/form-data; boundary=x"
        connection.sendall(head(site, path, size, kind) + b"x" * 1000)
        time.sleep(0.3)  # by now it is refused
        for _ in range(size // 1000 - 1):
            connection.sendall(b"x" * 1000)
        assert connection.recv(4096).startswith(f"HTTP/1.1 {status} ".encode())
