"""The Dockerfile: clean for its linter, and everything it copies is there to be copied."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from annotate.environment import CHECKOUT
from tests.docker import definitions
from tests.docker.definitions import DOCKER

BUILT = ("frontend", "web-packages", "web", "models-packages-cpu", "models-packages-gpu", "models")


def program(name: str) -> str:
    """A program from the environment's packages."""
    return str(Path(sys.executable).parent / name)


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps the path out: of the lines that match, the last one counts."""
    out = False
    for line in (CHECKOUT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        keep, pattern = line.startswith("!"), line.lstrip("!")
        if any(matches(part, pattern) for part in [path, *map(str, Path(path).parents)]):
            out = not keep
    return out


def matches(path: str, pattern: str) -> bool:
    """As Docker matches: from the root, `*` within one part, `**/` for any folders."""
    if pattern.startswith("**/"):
        return Path(path).match(pattern.removeprefix("**/"))
    parts, wanted = Path(path).parts, Path(pattern).parts
    return len(parts) == len(wanted) and Path(path).match(pattern)


def test_the_linter_has_nothing_to_say() -> None:
    command = [program("hadolint"), "--config", str(DOCKER / "hadolint.yaml")]
    said = subprocess.run([*command, str(DOCKER / "Dockerfile")], capture_output=True, text=True)
    assert said.stdout + said.stderr == ""
    assert said.returncode == 0


@pytest.mark.parametrize("stage", [*BUILT, "proxy"])
def test_what_is_copied_exists_and_reaches_the_builder(stage: str) -> None:
    sources = [
        path for origin, paths, _ in definitions.copied(stage) if not origin for path in paths
    ]
    for source in sources:
        assert (CHECKOUT / source).exists(), source
        assert not ignored(source.rstrip("/")), source


@pytest.mark.parametrize("stage", ["web", "models"])
def test_what_is_copied_from_another_stage_is_made_there(stage: str) -> None:
    stages = {instruction.stage for instruction in definitions.dockerfile()}
    assert {origin for origin, _, _ in definitions.copied(stage) if origin} <= stages


@pytest.mark.parametrize(
    "path",
    [
        "var/secrets/secret_key",
        "docker/.env",
        "docker/compose.yaml",
        ".git/config",
        ".venv/bin/python",
        "shared/README.md",
        "frontend/node_modules/vite/package.json",
        "frontend/dist/index.html",
        "annotate/models/__pycache__/base.cpython-311.pyc",
        "tests/conftest.py",
    ],
)
def test_data_secrets_and_local_builds_stay_out(path: str) -> None:
    assert ignored(path)


@pytest.mark.parametrize("path", ["annotate/settings.py", "frontend/src/main.ts", "manage.py"])
def test_the_sources_go_in(path: str) -> None:
    assert not ignored(path)


def test_base_images_are_pinned_to_a_patch_version() -> None:
    images = [i.text for i in definitions.dockerfile() if "_IMAGE=" in i.text]
    assert len(images) == 3
    for image in images:
        version = image.split(":")[1].split("-")[0]
        assert len(version.split(".")) == 3, image


@pytest.mark.parametrize("stage", ["web", "models", "proxy"])
def test_images_do_not_run_as_root(stage: str) -> None:
    users = [i.text for i in definitions.dockerfile() if (i.stage, i.word) == (stage, "USER")]
    assert users == ["10001:10001"]


def test_python_is_the_one_that_the_project_asks_for() -> None:
    (python,) = [i.text for i in definitions.dockerfile() if i.text.startswith("PYTHON_IMAGE=")]
    assert f"python:{sys.version_info.major}.{sys.version_info.minor}." in python


def test_the_scripts_of_docker_are_sound_shell() -> None:
    shell = shutil.which("sh")
    assert shell
    subprocess.run([shell, "-n", str(DOCKER / "lock.sh")], check=True)
