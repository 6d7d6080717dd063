"""What does not exist is refused by its name, echoed safely, and costs only its part."""

import json
from typing import Any

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import HealthCheck, given
from hypothesis import settings as within
from hypothesis import strategies as st
from rest_framework.test import APIClient

from annotate.api.rendering import JSONRenderer
from annotate.environment import CHECKOUT
from annotate.models import Project, Prompt
from tests.api import scene
from tests.api.scene import Scene
from tests.api.test_access import LINES
from tests.api.test_errors import full_body

IMPORT = "/api/projects/tone/prompts/import"
SCHEMA = yaml.safe_load((CHECKOUT / "frontend" / "openapi.yaml").read_text())
GETS = [path for path, methods in SCHEMA["paths"].items() if "get" in methods]
OBJECTS = [line for line in LINES if line[0] in ("post", "put", "patch")]


@pytest.fixture
def stage(db: None) -> Scene:
    return scene.set_up()


def parameters(path: str) -> list[str]:
    told = SCHEMA["paths"][path]["get"].get("parameters", [])
    return [each["name"] for each in told if each["in"] == "query"]


def filled(stage: Scene, path: str) -> str:
    """The address with this scene's ids, or some name, in the places of the schema's path."""
    for name in {each.split("}")[0] for each in path.split("{")[1:]}:
        path = path.replace(f"{{{name}}}", str(stage.ids.get(name, 1)))
    return path


# --- parameters -----------------------------------------------------------------------------


def test_every_address_refuses_a_parameter_that_it_does_not_have(stage: Scene) -> None:
    assert len(GETS) > 40
    for path in GETS:
        response = stage.clients["ada"].get(f"{filled(stage, path)}?labelr=lena")
        assert response.status_code == 400, path
        error = response.json()["error"]
        assert error["fields"] == {"labelr": ["lena"]}, path
        assert error["message"].startswith("labelr: "), path
        assert all(name in error["message"] for name in parameters(path)), path


def test_every_address_takes_the_parameters_that_its_schema_names(stage: Scene) -> None:
    asked = 0
    for path in GETS:
        for name in parameters(path):
            response = stage.clients["ada"].get(f"{filled(stage, path)}?{name}=")
            assert "no such parameter" not in scene.content(response).decode(), (path, name)
            asked += 1
    assert asked > 30


def test_an_export_of_one_labeler_is_not_everybodys(stage: Scene) -> None:
    for kind in ("jsonl", "parquet"):
        for what in ("rankings", "comparisons"):
            address = f"/api/projects/tone/export/{what}.{kind}"
            assert stage.clients["ada"].get(f"{address}?labeler=lena").status_code == 400
            assert stage.clients["ada"].get(f"{address}?round=1").status_code == 200


def test_a_parameter_given_twice_and_a_value_that_there_is_not(ada: APIClient, lena: Any) -> None:
    twice = ada.get("/api/projects/tone/rankings?labeler=lena&labeler=luis")
    assert twice.status_code == 400
    assert "labeler" in twice.json()["error"]["fields"]
    odd = ada.get("/api/projects/tone/prompts?split=test")
    assert odd.status_code == 400
    assert "train" in odd.json()["error"]["message"]


def test_a_stranger_is_asked_who_they_are_first(stage: Scene) -> None:
    answer = stage.clients["anonymous"].get("/api/projects/tone/rankings?labelr=lena")
    assert answer.status_code in (401, 403)
    assert "labelr" not in answer.content.decode()


# --- fields of a body -----------------------------------------------------------------------


@pytest.mark.parametrize(("method", "route"), OBJECTS)
def test_a_field_that_there_is_not(stage: Scene, method: str, route: str) -> None:
    person = "lena" if route.startswith(("claims", "rankings")) else "ada"
    body = {**full_body(stage, (method, route)), "rationle": "a slip of the pen"}
    response = stage.ask(person, method, route, body)
    assert response.status_code == 400, response.content
    assert "rationle" in response.json()["error"]["fields"]
    assert response.json()["error"]["message"].startswith("rationle: ")


def test_a_field_that_there_is_not_further_in(stage: Scene) -> None:
    route = "projects/<slug:slug>/rounds"
    body = full_body(stage, ("post", route))
    body = {**body, "sources": [{**body["sources"][0], "temprature": 0.2}]}
    response = stage.ask("ada", "post", route, body)
    assert list(response.json()["error"]["fields"]) == ["sources.0.temprature"]


def test_a_field_that_there_is_not_in_a_form(ada: APIClient, project: Project) -> None:
    file = SimpleUploadedFile("a.jsonl", b'{"prompt": "one"}')
    answer = ada.post(IMPORT, {"file": file, "frmat": "csv"}, format="multipart")
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, ["frmat"])
    assert not Prompt.objects.exists()


# --- echoes ---------------------------------------------------------------------------------


def sent(client: APIClient, content: bytes, name: str = "a.jsonl") -> Any:
    file = SimpleUploadedFile(name, content)
    return client.post(IMPORT, {"file": file}, format="multipart")


def test_half_a_character_in_a_doubled_key(ada: APIClient, project: Project) -> None:
    content = b'{"\\ud800":1,"\\ud800":2,"prompt":"dup"}\n{"prompt":"next row"}\n'
    answer = sent(ada, content)
    assert answer.status_code == 200
    report = answer.json()
    assert (report["imported"], report["refused"]) == (1, 1)
    assert report["problems"][0]["line"] == 1
    assert "⟨U+D800⟩" in report["problems"][0]["reason"]
    assert [each.excerpt for each in Prompt.objects.all()] == ["next row"]


def test_a_role_nested_as_deep_as_it_can_be_read(ada: APIClient, project: Project) -> None:
    for depth in range(300, 1000, 7):
        role = "[" * depth + "]" * depth
        row = f'{{"messages": [{{"role": {role}, "content": "x"}}]}}'
        answer = sent(ada, row.encode())
        assert (answer.status_code, answer.json()["refused"]) == (200, 1), depth


def test_marks_that_turn_the_text_around_are_shown(ada: APIClient, project: Project) -> None:
    role = "assistant\u202eresu" + "x" * 1000
    answer = sent(ada, json.dumps({"messages": [{"role": role, "content": "x"}]}).encode())
    (problem,) = answer.json()["problems"]
    assert "⟨U+202E⟩" in problem["reason"]
    assert "\u202e" not in problem["excerpt"]
    assert len(problem["reason"]) < 200


def test_the_envelope_bounds_and_shows_what_it_repeats(ada: APIClient, project: Project) -> None:
    body = {"text": "x", "format": "\u202e" + "x" * 100_000, "\u2066": 1}
    answer = ada.post(IMPORT, body, format="json")
    assert answer.status_code == 400
    assert len(answer.content) < 5000
    assert "\u202e" not in answer.content.decode()
    assert "\u2066" not in answer.content.decode()


HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None, categories=None), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["prompt", "messages", "role", "content", "tags", "id", "documents"])
            | st.text(st.characters(codec=None, categories=None), max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(rows=st.lists(HOSTILE, min_size=1, max_size=3), doubled=st.booleans())
@within(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_is_a_mistake_of_ours(
    ada: APIClient, project: Project, rows: list[Any], doubled: bool
) -> None:
    lines = [json.dumps(row) for row in rows]
    if doubled:
        lines = [f'{{"a": {line}, "a": {line}, {json.dumps(line)}: 0}}' for line in lines]
    answer = sent(ada, "\n".join([*lines, '{"prompt": "a good one"}']).encode())
    assert answer.status_code == 200
    report = answer.json()
    assert report["imported"] + report["duplicates"] >= 1
    assert report["imported"] + report["duplicates"] + report["refused"] == len(lines) + 1


@given(data=HOSTILE)
def test_the_renderer_never_raises(data: Any) -> None:
    json.loads(JSONRenderer().render({"data": data, "beside": "kept"}))


def test_the_renderer_keeps_what_it_can() -> None:
    deep: Any = "x"
    for _ in range(2000):
        deep = [deep]
    told = {"\ud800": "half \udfff", "big": 10**30, "deep": deep, "good": ["é", 1.5, None]}
    written = json.loads(JSONRenderer().render(told))
    assert written["⟨U+D800⟩"] == "half ⟨U+DFFF⟩"
    assert written["good"] == ["é", 1.5, None]


def test_every_page_of_a_list_can_be_turned() -> None:
    """An address whose answer names the next page takes its cursor."""
    shapes = SCHEMA["components"]["schemas"]
    lists = {
        name for name in shapes if name.endswith("Page") and "next" in shapes[name]["properties"]
    }
    paged = [
        path for path in GETS if any(name in str(SCHEMA["paths"][path]["get"]) for name in lists)
    ]
    assert len(paged) > 10
    for path in paged:
        assert {"cursor", "limit"} <= set(parameters(path)), path
