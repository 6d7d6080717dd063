"""What the README says is true: every setting, every command, every file and benchmark."""

import re
from pathlib import Path

import pytest

from annotate import environment

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
STARTED = {
    path.stem
    for path in (ROOT / "tests" / "benchmarks").glob("*.py")
    if 'if __name__ == "__main__"' in path.read_text()
}
# ppo_peer is a part of ppo, in a process of its own.
BENCHMARKS = sorted(name for name in STARTED if name.rpartition("_")[0] not in STARTED)


def test_every_setting_is_in_the_table() -> None:
    between = re.search(r"<!-- settings:.*?-->\n(.*?)<!-- /settings -->", README, re.DOTALL)
    assert between is not None
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", between[1], re.MULTILINE)
    said = [(name, default.strip("`"), meaning) for name, default, meaning in rows]
    assert said == environment.variables()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|^)make ([a-z]+)", README, re.M))))
def test_every_make_command_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!http)[^)#]+)\)", README))
def test_every_linked_file_exists(target: str) -> None:
    assert (ROOT / target).is_file()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_its_figures(name: str) -> None:
    assert f"`{name}`" in README


def test_every_named_path_exists() -> None:
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir()}
    named = set(re.findall(r"`([a-z]+/[\w/.]*)`", README))
    from_the_top = {path for path in named if path.split("/")[0] in rooms}
    assert from_the_top
    assert {path for path in from_the_top if not (ROOT / path).exists()} == set()
