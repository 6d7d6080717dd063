"""What README and the other documents say is true: every setting, command, file and benchmark."""

import re
from pathlib import Path

import pytest

from annotate import environment
from setup.check import GROUPS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What is committed: a checkout has more folders, in which programs write.
ROOMS = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."} - {"var"}
PYTHON = ("annotate", "formats", "inference", "training", "setup", "tests")
STARTED = {
    path.stem
    for path in (ROOT / "tests" / "benchmarks").glob("*.py")
    if 'if __name__ == "__main__"' in path.read_text()
}
# ppo_peer is a part of ppo, in a process of its own.
BENCHMARKS = sorted(name for name in STARTED if name.rpartition("_")[0] not in STARTED)
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

of_documents = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def test_every_setting_is_in_the_table() -> None:
    between = re.search(r"<!-- settings:.*?-->\n(.*?)<!-- /settings -->", README, re.DOTALL)
    assert between is not None
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", between[1], re.MULTILINE)
    said = [(name, default.strip("`"), meaning) for name, default, meaning in rows]
    assert said == environment.variables()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_its_figures(name: str) -> None:
    assert f"`{name}`" in README


@of_documents
def test_every_make_command_exists(document: Path) -> None:
    text = document.read_text()
    blocks = "".join(re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL))
    said = re.findall(r"`make ([a-z]+)", text) + re.findall(r"^make ([a-z]+)", blocks, re.MULTILINE)
    assert set(said) - TARGETS == set()
    assert set(re.findall(r"GROUP=(\w+)", text)) - GROUPS.keys() == set()


@of_documents
def test_every_link_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)", document.read_text())
    assert [one for one in targets if not (document.parent / one).exists()] == []


@of_documents
def test_every_named_path_exists(document: Path) -> None:
    """A path begins at the top; what follows a colon is something in the file."""
    assert missing(document.read_text()) == set()


def test_a_path_that_does_not_exist_is_found() -> None:
    named = (
        "`annotate/gone.py`, `annotate/Lost.svelte.ts:take`, `docs/no-such/`, `formats/bounds.py`"
    )
    assert missing(named) == {"annotate/gone.py", "annotate/Lost.svelte.ts", "docs/no-such/"}


def test_the_documents_that_code_cites_exist() -> None:
    python = [path for room in PYTHON for path in (ROOT / room).rglob("*.py")]
    cited = {
        name for path in python for name in re.findall(r"\bdocs/[\w/-]+\.md", path.read_text())
    }
    assert {name for name in cited if not (ROOT / name).exists()} == set()


def missing(text: str) -> set[str]:
    """The paths from the top that a text names and that there are not."""
    named = re.findall(r"`([\w.-]+/[\w./-]*)(?::\w+)?`", text)
    return {path for path in named if path.split("/")[0] in ROOMS and not (ROOT / path).exists()}
