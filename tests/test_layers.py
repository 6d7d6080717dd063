"""The walls between rooms: a new package cannot escape them, and views ask no database."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from annotate.environment import CHECKOUT

HOUSE = """
[tool.importlinter]
root_packages = ["house", "ground"]
include_external_packages = true
contract_types = ["only_in: setup.contracts.OnlyIn", "knows: setup.contracts.Knows"]

[[tool.importlinter.contracts]]
name = "Only the engine computes"
type = "only_in"
rooms = ["house.engine"]
modules = ["json"]

[[tool.importlinter.contracts]]
name = "The engine is alone"
type = "knows"
room = "house.engine"
allowed = ["ground"]
"""


def linted(folder: Path, files: dict[str, str]) -> str:
    """What lint-imports says of a house of these files."""
    for name in ("house/__init__", "house/engine/__init__", "ground/__init__"):
        (folder / f"{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").touch()
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "pyproject.toml").write_text(HOUSE)
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    found = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}:{CHECKOUT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout + found.stderr


def test_a_house_that_keeps_its_walls(tmp_path: Path) -> None:
    said = linted(
        tmp_path,
        {
            "house/engine/work.py": "import json\nimport ground\n",
            "house/site.py": "import ground\n",
        },
    )
    assert "2 kept, 0 broken" in said, said


@pytest.mark.parametrize(
    ("files", "broken", "chain"),
    [
        (
            {"house/new/__init__.py": "", "house/new/work.py": "import json\n"},
            "Only the engine computes",
            "house.new.work",
        ),
        (
            {"house/site.py": "import house.engine.work\n", "house/engine/work.py": "import json"},
            "Only the engine computes",
            "house.site -> house.engine.work",
        ),
        ({"ground/deep.py": "import json\n"}, "Only the engine computes", "ground.deep"),
        (
            {"house/engine/work.py": "import house.new\n", "house/new.py": ""},
            "The engine is alone",
            "house.engine.work -> house.new",
        ),
    ],
)
def test_a_package_that_nobody_listed_is_bound_by_them(
    tmp_path: Path, files: dict[str, str], broken: str, chain: str
) -> None:
    said = linted(tmp_path, files)
    assert f"{broken} BROKEN" in said, said
    assert chain in said


@pytest.mark.parametrize("app", ["annotate", "training"])
def test_views_translate_and_ask_no_database(app: str) -> None:
    """What they need of it is a query or a service that has a name."""
    asked = [
        f"{file.name}:{node.lineno}"
        for file in sorted((CHECKOUT / app / "api").rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "objects"
    ]
    assert asked == []
