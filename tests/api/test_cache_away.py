"""Valkey that refuses to write, or hangs: sessions come from the database, the rest says 503."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from django.core.cache import cache
from django.test import Client
from rest_framework.test import APIClient

from annotate import dispatch
from annotate.cache import forget, keep, recall
from annotate.launch.child import Child
from annotate.models import User
from tests import cast, services
from tests.api import scene
from tests.api.scene import Scene
from tests.faults.breaking import wait

# Two waits of a request for a server that hangs, and then some.
BOUND_S = 15.0
SIGN_IN = {"username": "lena", "password": cast.PASSWORD}


@pytest.fixture
def stage(db: None) -> Scene:
    return scene.set_up()


@pytest.fixture
def browser(stage: Scene) -> APIClient:
    """Signed in with a session, whose copy in the cache is gone."""
    client = APIClient(raise_request_exception=False)
    client.force_login(User.objects.get(username="lena"))
    cache.clear()
    return client


@contextmanager
def refusing(setting: str) -> Iterator[None]:
    """It reads, and refuses every write: out of memory, or without the replicas it wants."""
    server = redis.Redis.from_url(services.ENV.cache_url)
    before = server.config_get(setting)[setting] or ""
    server.config_set(setting, 1)
    try:
        yield
    finally:
        server.config_set(setting, before)
        server.close()


@contextmanager
def hanging(valkey: Child) -> Iterator[None]:
    assert valkey.process is not None
    os.kill(valkey.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(valkey.process.pid, signal.SIGCONT)
    wait("the cache", it_keeps)


def it_keeps() -> bool:
    keep("anything", 1, 60)
    return bool(recall("anything") == 1)


@pytest.fixture(params=["maxmemory", "min-replicas-to-write", "hangs"])
def away(request: pytest.FixtureRequest, valkey: Child, browser: APIClient) -> Iterator[None]:
    with hanging(valkey) if request.param == "hangs" else refusing(request.param):
        yield


def test_who_is_signed_in_works_on(away: None, browser: APIClient) -> None:
    began = time.monotonic()
    queues = browser.get("/api/queues")
    taken = browser.post("/api/projects/tone/claims", {"have": []}, format="json")
    assert (queues.status_code, taken.status_code) == (200, 200)
    assert taken.json()["claim"] is not None
    assert time.monotonic() - began < BOUND_S


def test_who_signs_in_is_told_to_try_again(away: None, stage: Scene) -> None:
    client = APIClient(raise_request_exception=False)
    began = time.monotonic()
    reply = client.post("/api/session", SIGN_IN, format="json")
    assert time.monotonic() - began < BOUND_S
    assert reply.status_code == 503
    assert int(reply["Retry-After"]) > 0
    error = reply.json()["error"]
    assert (error["code"], error["retry"]) == ("unavailable", True)


def test_a_sign_out_that_leaves_the_session_in_the_cache_is_not_claimed(
    browser: APIClient,
) -> None:
    """It would be good again as soon as the cache is asked."""
    assert browser.get("/api/queues").status_code == 200
    with refusing("min-replicas-to-write"):
        assert browser.delete("/api/session").status_code == 503
    assert browser.delete("/api/session").status_code == 204
    assert browser.get("/api/queues").status_code == 401


def test_outside_of_the_api_it_is_503_as_well(
    stage: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise redis.ResponseError("MISCONF Errors writing to the AOF file")

    monkeypatch.setattr("annotate.pages._page", away)
    reply = Client(raise_request_exception=False).get("/label/tone")
    assert reply.status_code == 503
    assert reply["Retry-After"]
    assert b"Try again" in reply.content


def test_what_is_kept_to_save_time_is_done_without(valkey: Child) -> None:
    keep("estimate", {"bytes": 1}, 60)
    assert recall("estimate") == {"bytes": 1}
    with refusing("min-replicas-to-write"):
        keep("estimate", {"bytes": 2}, 60)
        forget("estimate")
    assert recall("estimate") == {"bytes": 1}
    with hanging(valkey):
        assert recall("estimate") is None


def test_nobody_else_waits_for_a_broker_that_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def send(name: str, **_: object) -> None:
        asked.append(name)
        raise redis.TimeoutError("Timeout reading from socket")

    monkeypatch.setattr(dispatch, "_again_at", 0.0)
    monkeypatch.setattr("annotate.dispatch.current_app.send_task", send)
    for _ in range(3):
        dispatch._send("annotate.generate_round", {"round_id": 1})
    assert asked == ["annotate.generate_round"]
    assert "was not sent" in caplog.text
