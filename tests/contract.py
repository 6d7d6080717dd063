"""Every answer that a test's client receives is one that the committed schema tells of.

Read from `frontend/openapi.yaml`, which `test_schema` holds to the API. Stricter than the schema's
own words in one thing: an object has no members besides those that are listed.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from rest_framework.test import APIClient, APIRequestFactory

from annotate.environment import CHECKOUT

SCHEMA = CHECKOUT / "frontend" / "openapi.yaml"
ITSELF = "/api/schema"  # is not in it
FAILURE = {"$ref": "#/components/schemas/Failure"}


@pytest.fixture(scope="session", autouse=True)
def _contract() -> Iterator[None]:
    """An answer that is not of the schema fails the test that asked for it."""

    def request(client: APIClient, **asked: Any) -> Any:
        answer = APIRequestFactory.request(client, **asked)
        if asked["PATH_INFO"].startswith("/api/") and asked["PATH_INFO"] != ITSELF:
            check(asked["REQUEST_METHOD"], asked["PATH_INFO"], answer)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(APIClient, "request", request)
        yield


def check(method: str, path: str, answer: Any) -> None:
    """Raises AssertionError with the place in the answer that is not as the schema says."""
    asked = f"{method} {path} -> {answer.status_code}"
    said = answer.headers.get("Content-Type", "").split(";")[0]
    content = contents_of(method, path, answer.status_code)
    if content is None:
        raise AssertionError(f"{asked} is not in the schema")
    if not content or method == "HEAD":
        return
    assert said in content, f"{asked} has the type {said!r}, in the schema are {sorted(content)}"
    if said == "application/json" and not answer.streaming:
        problem = best_match(validator(content[said]).iter_errors(answer.json()))
        assert problem is None, f"{asked}: {problem.json_path}: {problem.message[:500]}"


def contents_of(method: str, path: str, status: int) -> dict[str, str] | None:
    """The answer's possible types with names of their schemas; None: it is not in the schema."""
    operations = operations_at(path)
    operation = operations.get(method.lower())
    if operation is None:  # there is no such address, or it takes no such request
        refused = status in (401, 403, 405) or (status == 404 and not operations)
        return {"application/json": "failure"} if refused else None
    response = operation["responses"].get(str(status))
    if response is None:
        response = operation["responses"].get(f"{status // 100}XX")
    if response is None:
        return None
    return {
        media: remembered(each.get("schema", {}))
        for media, each in response.get("content", {}).items()
    }


def operations_at(path: str) -> dict[str, Any]:
    return next((item for pattern, item in patterns() if pattern.fullmatch(path)), {})


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = translated(yaml.load(SCHEMA.read_text(), yaml.CSafeLoader))
    return found


@cache
def patterns() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """Those with the fewest parameters first."""
    paths = sorted(document()["paths"].items(), key=lambda item: (item[0].count("{"), item[0]))
    return [(re.compile(pattern_of(path, item)), item) for path, item in paths]


def pattern_of(path: str, operations: dict[str, Any]) -> str:
    """A number is one in the address, too; a file's name may have several parts."""
    told = [each for operation in operations.values() for each in operation.get("parameters", [])]
    numbers = {each["name"] for each in told if each["schema"].get("type") == "integer"}

    def wild(name: str) -> str:
        if name in numbers:
            return r"\d+"
        return r".+" if path.endswith(f"/files/{{{name}}}") else r"[^/]+"

    parts = re.split(r"\{(\w+)\}", path)  # names stand at the odd places
    return "".join(wild(part) if n % 2 else re.escape(part) for n, part in enumerate(parts))


_SCHEMAS: dict[str, dict[str, Any]] = {"failure": FAILURE}


def remembered(schema: dict[str, Any]) -> str:
    name = repr(schema)
    _SCHEMAS[name] = schema
    return name


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({**_SCHEMAS[name], "components": document()["components"]})


def translated(part: Any) -> Any:
    """The words of OpenAPI 3.0 in those of JSON Schema; listed members are all there are."""
    if isinstance(part, list):
        return [translated(each) for each in part]
    if not isinstance(part, dict):
        return part
    part = {key: translated(value) for key, value in part.items()}
    if part.get("type") == "object" and "properties" in part:
        part.setdefault("additionalProperties", False)
    if part.get("nullable") is True:
        part.pop("nullable")
        return {"anyOf": [part, {"type": "null"}]}
    return part
