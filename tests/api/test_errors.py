"""Whatever a client sends, the answer is an envelope that says what to do, never a stack trace."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
import yaml
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from annotate.environment import CHECKOUT
from annotate.queries import queues
from tests.api import scene
from tests.api.scene import Scene
from tests.api.test_access import LINES

SCHEMA = yaml.safe_load((CHECKOUT / "frontend" / "openapi.yaml").read_text())
WRITES = [line for line in LINES if line[0] in ("post", "put", "patch")]
READS = [route for method, route in LINES if method == "get" and route != "schema"]

NOT_JSON = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"1e999",
    b"NaN",
    b"\xff\xfe{\x00}\x00",
    b'{"tiers": "\\ud800"}',
    b'{"a": 1}' * 2,
    b"[" * 5000,
]
ODD_VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**30,
    1e308,
    "",
    "NaN",
    "Infinity",
    "nul\x00inside",
    "'; DROP TABLE users; --",
    "<script>alert(1)</script>",
    "\u202e\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "x" * 200_000,
    [],
    {},
    [[None]],
    {"nul\x00inside": "nul\x00inside"},
    [{"nul\x00inside": [1, "nul\x00inside"]}],
]
KEY = str(UUID(int=1))
NUMBERS = ("claim_id", "ranking_id", "member_id", "prompt_id", "number")
NAMES = ("key", "action", "what", "kind")
FULL: dict[tuple[str, str], dict[str, Any]] = {
    ("post", "session"): {"username": "lena", "password": "wrong"},
    ("post", "projects"): {
        "name": "New",
        "slug": "new",
        "description": "d",
        "guidelines": "g",
        "k_default": 4,
        "axes": [{"key": "a", "name": "A", "min": 1, "max": 5}],
        "tags": ["t"],
        "rationale": "off",
        "overlap": 1,
        "lease_seconds": 60,
    },
    ("post", "claims/<int:claim_id>/draft"): {"body": {"tiers": [["A"]], "rationale": "so far"}},
    ("post", "claims/<int:claim_id>/flag"): {
        "kind": "harmful",
        "note": "n",
        "key": str(UUID(int=1)),
    },
    ("post", "claims/<int:claim_id>/skip"): {"reason": "unsure", "note": "n"},
    ("post", "projects/<slug:slug>/rounds"): {
        "prompts": {"tag": None, "search": "", "sample": 2, "split": "train"},
        "k": 4,
        "overlap": 1,
        "sources": [
            {"served_model": 1, "weight": 1, "temperature": 1, "top_p": 1, "max_tokens": 9}
        ],
        "start": True,
    },
}
FULL["patch", "projects/<slug:slug>"] = {
    key: value for key, value in FULL["post", "projects"].items() if key != "slug"
}
ESTIMATE = ("post", "projects/<slug:slug>/rounds/estimate")
FULL[ESTIMATE] = FULL["post", "projects/<slug:slug>/rounds"]
RANKING = {
    "unacceptable": [{"label": "C", "reason": "r"}],
    "strengths": [1, 1],
    "ratings": {"helpful": {"B": 5}},
    "tags": ["wrong"],
    "rationale": "r",
    "demonstration": {"text": "t", "from": "A"},
}


def asked_by(route: str) -> str:
    return "lena" if route.startswith(("claims", "rankings")) else "ada"


def full_body(stage: Scene, line: tuple[str, str]) -> dict[str, Any]:
    body = FULL.get(line) or LINES[line].body_in(stage) or {}
    if "tiers" in body:
        body = {**body, **RANKING}
    if "sources" in body:
        body = {**body, "sources": [{**body["sources"][0], "served_model": stage.ids["model"]}]}
    return body


def variants(value: Any) -> Iterator[Any]:
    """The value with each of its parts, and itself, replaced by each odd value."""
    yield from ODD_VALUES
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from ({**value, key: changed} for changed in variants(inner))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from ([*value[:place], new, *value[place + 1 :]] for new in variants(inner))


def assert_in_words(response: Any) -> None:
    """Not a mistake of ours; and if it is refused, in the envelope."""
    body = scene.content(response).decode(errors="replace")  # archives, too
    assert response.status_code < 500, body
    assert "Traceback" not in body
    assert "annotate_" not in body  # no statement, no table
    if response.status_code >= 400:
        error = response.json()["error"]
        assert error["code"]
        assert error["message"].endswith((".", "!", "?")) or error["fields"]
        assert isinstance(error["retry"], bool)


@pytest.mark.parametrize(("method", "route"), WRITES)
def test_what_is_no_json(stage: Scene, method: str, route: str) -> None:
    call = getattr(stage.clients[asked_by(route)], method)
    for body in NOT_JSON:
        with scene.undone():
            assert_in_words(call(stage.address(route), body, content_type="application/json"))
    other = call(stage.address(route), b"<a/>", content_type="application/xml")
    assert_in_words(other)


@pytest.mark.parametrize(("method", "route"), WRITES)
def test_odd_values_in_every_place_of_a_body(
    stage: Scene, settings: Settings, method: str, route: str
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a fast one
    stage.project.axes = [{"key": "helpful", "name": "Helpful", "min": 1, "max": 5}]
    stage.project.strength, stage.project.tags = True, ["wrong"]
    stage.project.save()
    person = asked_by(route)
    for body in variants(full_body(stage, (method, route))):
        if isinstance(body, dict):
            with scene.undone():
                response = stage.ask(person, method, route, body)
                assert response.status_code < 500, body
                assert_in_words(response)


@pytest.mark.parametrize("route", READS)
def test_odd_values_in_every_query(stage: Scene, route: str) -> None:
    path = "/api/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route)
    declared = SCHEMA["paths"][path]["get"].get("parameters", [])
    values = [
        "",
        "0",
        "-1",
        "9" * 18,
        "9" * 40,
        "x\x00y",
        "\x00",
        "%",
        "'\"",
        "²",
        "\\",
        "x" * 5000,
    ]
    client = stage.clients["ada"]
    for name in [each["name"] for each in declared if each["in"] == "query"]:
        for value in values:
            with scene.undone():
                assert_in_words(client.get(f"{stage.address(route)}?{name}={quote(value)}"))


@pytest.mark.parametrize(("method", "route"), [line for line in LINES if "<" in line[1]])
def test_absurd_numbers_and_names_in_an_address(stage: Scene, method: str, route: str) -> None:
    ids, body = dict(stage.ids), full_body(stage, (method, route))
    odd: dict[str, list[Any]] = {
        **{name: [0, 2**31, 2**63 - 1, 2**63, 10**40] for name in NUMBERS},
        **{name: ["%00", "..", "%F0%9F%98%80", "x" * 3000] for name in NAMES},
    }
    for name, values in odd.items():
        for value in values if f":{name}>" in route else []:
            stage.ids.update({**ids, name: value})
            with scene.undone():
                response = stage.ask(asked_by(route), method, route, body)
                assert_in_words(response)
                assert response.status_code in (400, 404)


@pytest.mark.parametrize(
    "address",
    [
        "/api/",
        "/api/nothing",
        "/api/projects/",
        "/api/projects/a%00b",
        "/api/projects/tone/rounds/1/start/again",
        "/api/claims/x/renew",
        "/api/../admin",
    ],
)
def test_an_unknown_address(stage: Scene, address: str) -> None:
    for client in stage.clients.values():
        response = client.get(address)
        assert response.status_code == 404
        assert response["Content-Type"] == "application/json"
        assert response.json()["error"]["code"] == "not_found"


def test_a_method_that_an_address_does_not_take(stage: Scene) -> None:
    response = stage.clients["ada"].delete("/api/projects/tone")
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "method_not_allowed"
    assert "GET" in response["Allow"]


def test_our_own_mistake_is_told_without_its_inside(
    stage: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(queues, "of_labeler", broken)
    client = APIClient(raise_request_exception=False)
    client.cookies = stage.clients["ada"].cookies
    response = client.get("/api/queues")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "server_error"
    assert response.json()["error"]["retry"] is True
    assert b"secret" not in response.content
