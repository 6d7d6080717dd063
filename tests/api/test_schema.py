"""The committed schema and the TypeScript types are those of the API as it is."""

import io
import subprocess
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command
from rest_framework.test import APIClient

from annotate.environment import CHECKOUT
from setup import frontend

FRONTEND = CHECKOUT / "frontend"


def test_the_committed_schema_is_the_generated_one() -> None:
    generated = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=generated)
    committed = (FRONTEND / "openapi.yaml").read_text()
    same = committed == generated.getvalue()
    assert same, "run: .venv/bin/python manage.py spectacular --file frontend/openapi.yaml"


def test_the_types_are_those_of_the_schema(tmp_path: Path) -> None:
    command, environment = frontend.npm_command()
    if not (FRONTEND / "node_modules" / ".bin" / "openapi-typescript").exists():
        pytest.fail("the frontend's packages are missing: run `make frontend`")
    fresh = tmp_path / "schema.ts"
    made = subprocess.run(
        [*command, "exec", "--offline", "--", "openapi-typescript", "openapi.yaml", "-o", fresh],
        cwd=FRONTEND,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    committed = (FRONTEND / "src/lib/api/schema.ts").read_text()
    assert committed == fresh.read_text(), "run `npm run types` in frontend/"


@pytest.mark.django_db
def test_the_schema_is_served() -> None:
    response = APIClient().get("/api/schema")
    assert response.status_code == 200
    served = yaml.safe_load(response.content)
    assert (
        served["paths"].keys()
        == yaml.safe_load((FRONTEND / "openapi.yaml").read_text())["paths"].keys()
    )


def test_every_operation_has_a_name_and_says_what_it_does() -> None:
    schema = yaml.safe_load((FRONTEND / "openapi.yaml").read_text())
    operations = [
        operation
        for path in schema["paths"].values()
        for method, operation in path.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    silent = [each["operationId"] for each in operations if not each.get("description")]
    assert silent == ["getSpectacularAPI"] or not silent
