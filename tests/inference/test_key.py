"""The key on every route of vLLM: the middleware alone, then the routes of a real server."""

import asyncio
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from typing import Any

import httpx
import pytest
from django.conf import settings

from annotate.launch.child import Child
from inference.local import KEY_ON_EVERY_ROUTE, PLUGIN
from tests.patience import PATIENCE_S

KEY = "a-key-of-the-tests"


def middleware(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class that vLLM is told to use, found as vLLM finds it."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    module, name = KEY_ON_EVERY_ROUTE.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def answered(scope: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is sent back; a request that the middleware lets through gets "through"."""
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    sent: list[dict[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(dict(message))

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    async def app(*_: Any) -> None:
        sent.append({"type": "through"})

    asyncio.run(middleware(monkeypatch)(app)(scope, receive, send))
    return sent


def request(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": raw}


@pytest.mark.parametrize(
    "scope",
    [
        request("/health"),
        request("/health", "HEAD"),
        request("/adapters", "DELETE", Authorization=f"Bearer {KEY}"),
        {"type": "lifespan"},
    ],
)
def test_what_may_pass(scope: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert answered(scope, monkeypatch) == [{"type": "through"}]


@pytest.mark.parametrize(
    "scope",
    [
        request("/adapters", "POST"),
        request("/v1/models", Authorization="Bearer another"),
        request("/v1/models", Authorization=KEY),
        request("/v1/models", "OPTIONS"),
        request("/health", "POST"),
        request("/health/"),
        request("//health"),
        request("/v1/health"),
    ],
)
def test_what_is_refused(scope: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    start, body = answered(scope, monkeypatch)
    assert start["status"] == 401
    assert json.loads(body["body"])["error"]["message"]


def test_a_socket_is_closed_before_it_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = {"type": "websocket", "path": "/v1/realtime", "headers": []}
    assert [message["type"] for message in answered(scope, monkeypatch)] == ["websocket.close"]


def test_without_a_key_there_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    with pytest.raises(RuntimeError, match="VLLM_API_KEY is not set"):
        middleware(monkeypatch)(app=lambda *_: asyncio.sleep(0))


# --- the real server ------------------------------------------------------------------------

LIST_ROUTES = """
import json, sys
from vllm.entrypoints.launchers.app import build_app
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
args = make_arg_parser(FlexibleArgumentParser()).parse_args(sys.argv[1:])
app = build_app(args, ("generate",))
found = [[sorted(getattr(one, "methods", None) or ["GET"]), one.path] for one in app.routes]
print(json.dumps(found))
"""


@pytest.fixture
def http(vllm: Child) -> Iterator[httpx.Client]:
    """Without the key."""
    url = settings.INFERENCE_URLS[0]
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as client:
        yield client


def described(http: httpx.Client) -> set[tuple[str, str]]:
    """Method and path of all that the server's own description names."""
    key = {"Authorization": f"Bearer {settings.INFERENCE_API_KEY}"}
    paths = http.get("/openapi.json", headers=key).raise_for_status().json()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def built() -> set[tuple[str, str]]:
    """What vLLM's application has besides: documentation, metrics, sockets."""
    lora = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_API_KEY": ""}
    command = [sys.executable, "-c", LIST_ROUTES, "--enable-lora"]
    done = subprocess.run(
        command,
        env={**os.environ, **lora},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    routes = json.loads(done.stdout.splitlines()[-1])
    return {(method, path) for methods, path in routes for method in methods}


@pytest.mark.vllm
def test_every_route_of_vllm_wants_the_key(http: httpx.Client) -> None:
    found = described(http) | built()
    paths = {path for _, path in found}
    known = {"/v1/models", "/v1/load_lora_adapter", "/invocations", "/adapters", "/metrics"}
    assert known <= paths, sorted(paths)
    open_ones = {("GET", "/health"), ("HEAD", "/health")}
    asked = {*found, *(("OPTIONS", path) for path in paths)} - open_ones
    answers = {
        (method, path): http.request(method, path, json={}).status_code for method, path in asked
    }
    assert {route: status for route, status in answers.items() if status != 401} == {}
    assert http.get("/health").status_code == 200


@pytest.mark.vllm
def test_a_stranger_neither_deletes_nor_replaces_an_adapter(http: httpx.Client) -> None:
    body = {"name": "project@1", "src": "/nowhere"}
    assert http.post("/adapters", json=body).status_code == 401
    assert http.delete("/adapters/project@1").status_code == 401
    assert http.post("/scale_elastic_ep", json={}).status_code == 401
