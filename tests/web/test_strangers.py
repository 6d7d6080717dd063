"""What one client without an account can do to the web server: nothing that anybody notices."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from annotate.web.site import AT_ONCE
from tests.patience import PATIENCE_S
from tests.services import Site
from tests.web.conftest import connected, head

MB = 2**20
JSON = "Content-Type: application/json"


def memory_of(site: Site) -> int:
    """Bytes of all the web server's processes."""
    assert site.child.process is not None
    parent = psutil.Process(site.child.process.pid)
    return sum(each.memory_info().rss for each in [parent, *parent.children(recursive=True)])


def test_two_bodies_of_60_mb_are_refused_in_words(
    site: Site, lena: httpx.Client, stranger: httpx.Client
) -> None:
    """They had taken 3.2 GB, and the server's health 9.75 s."""
    before = memory_of(site)
    for _ in range(2):
        with connected(site) as connection:
            connection.sendall(head(site, "/api/session", 60 * MB, JSON) + b'{"username":[')
            answer = connection.recv(4096).decode()
        assert answer.startswith("HTTP/1.1 413 ")
        assert json.loads(answer.split("\r\n\r\n")[1])["error"]["code"] == "too_large"
        assert "16 kB at most" in answer
    assert memory_of(site) - before < 200 * MB
    assert stranger.get("/api/health").status_code == 200


@pytest.mark.parametrize("path", ["/api/projects", "/api/queues", "/admin/", "/", "/api/claims/1"])
def test_no_address_takes_a_large_body_from_a_stranger(site: Site, path: str) -> None:
    with connected(site) as connection:
        connection.sendall(head(site, path, 60 * MB, JSON))
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_nor_one_that_does_not_say_how_large_it_is(site: Site) -> None:
    start = "POST /api/projects HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"[" * 2**16 + b"\r\n"
    with connected(site) as connection:
        connection.sendall(start.encode() + chunk * 17)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_sixteen_who_sign_in_wait_for_each_other_alone(
    lena: httpx.Client, site: Site, stranger: httpx.Client
) -> None:
    done = threading.Event()

    def guess(number: int) -> set[int]:
        statuses = set()
        with httpx.Client(base_url=site.url, timeout=PATIENCE_S, trust_env=False) as client:
            while not done.is_set():
                body = {"username": f"n{number}", "password": "wrong"}
                statuses.add(client.post("/api/session", json=body).status_code)
        return statuses

    with ThreadPoolExecutor(16) as threads:
        crowd = [threads.submit(guess, number) for number in range(16)]
        try:
            for _ in range(3):
                answer = lena.post("/api/projects/tone/claims", json={"have": []})
                assert answer.json()["claim"] is not None
                assert stranger.get("/api/health").status_code == 200
        finally:
            done.set()
        statuses = set().union(*(each.result(PATIENCE_S) for each in crowd))
    assert statuses <= {400, 429}


def test_the_schema_is_made_once(stranger: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: stranger.get("/api/schema").content, range(8)))
    assert len(set(answers)) == 1
    assert b"openapi: 3" in answers[0]
    as_json = stranger.get("/api/schema", headers={"Accept": "application/json"})
    assert as_json.json()["openapi"].startswith("3.")


def test_a_file_of_the_site_comes_whole(stranger: httpx.Client) -> None:
    """Small ones at once, larger ones from the room of downloads."""
    found = stranger.get("/static/admin/css/base.css")
    assert found.status_code == 200
    assert len(found.content) == int(found.headers["Content-Length"]) < AT_ONCE
