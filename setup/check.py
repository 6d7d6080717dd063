"""`make test`: every check and every test, each named with its seconds.

All of them run even when one fails; the exit status is not 0 when any did. Tests mostly wait, for
servers, browsers and each other's processes, so three groups of them run beside each other, each
with servers of its own. What the engine's and the pages' group say is shown when they have ended.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from setup import frontend  # noqa: E402
from setup.steps import Failed, logged  # noqa: E402

ENGINE_TESTS = ("tests/training",)  # need no server: they begin before the pages are built
# About half of the others' time; those that are left wait for vLLM most of theirs.
PAGE_TESTS = (
    "tests/browser",
    "tests/api",
    "tests/docker",
    "tests/launch",
    "tests/lineage",
    "tests/promotion",
    "tests/snapshots",
)
CHROMIUMS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
LINT_IMPORTS = str(Path(sys.executable).parent / "lint-imports")
Step = tuple[str, Callable[[], bool]]


def main() -> int:
    os.environ.pop("MAKEFLAGS", None)
    results = []
    # They compute: on two cores, the others' servers and browsers come first.
    with beside(ENGINE_TESTS, {"OMP_NUM_THREADS": "1"}, niceness=10) as engine:
        for name, step in [*steps(), ("pytest of the engine", engine)]:
            print(f"\n=== {name}", flush=True)
            begin = time.monotonic()
            results.append((name, passes(step), time.monotonic() - begin))
    print()
    for name, good, seconds in results:
        print(f"{'passed' if good else 'FAILED'}  {seconds:7.1f} s  {name}")
    for line in last_lines:
        print(f"\npytest: {line}")
    return 0 if all(good for _, good, _ in results) else 1


def passes(step: Callable[[], bool]) -> bool:
    try:
        return step()
    except Failed as failed:
        print(failed)
        return False


def steps() -> list[Step]:
    return [
        ("ruff check", tool("ruff", "check", ".")),
        ("ruff format", tool("ruff", "format", "--check", ".")),
        ("mypy", tool("mypy")),
        ("import contracts", lambda: runs([LINT_IMPORTS])),
        ("frontend build", build),
        ("svelte-check", npm("run", "check")),
        ("frontend tests", npm("test")),
        ("browser", install_browser),
        ("pytest", pytest),
    ]


def tool(module: str, *arguments: str) -> Callable[[], bool]:
    return lambda: runs([sys.executable, "-m", module, *arguments])


def npm(*arguments: str) -> Callable[[], bool]:
    def run() -> bool:
        command, environment = frontend.npm_command()
        return runs([*command, *arguments], frontend.FRONTEND, environment)

    return run


def build() -> bool:
    frontend.main()
    return True


def runs(
    command: list[str], folder: Path = CHECKOUT, environment: Mapping[str, str] | None = None
) -> bool:
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode == 0


def install_browser() -> bool:
    """A Chromium or Chrome of the machine, else the distribution's, else Playwright's."""
    if any(shutil.which(name) for name in CHROMIUMS):
        return True
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        try:
            logged("Reading the distribution's package list", [apt, "update"], quiet=True)
            install = [apt, "install", "--yes", "--no-install-recommends", "chromium"]
            logged("Installing chromium", install, environment=environment, quiet=True)
            return True
        except Failed:
            print("The distribution's chromium cannot be installed: trying Playwright's")
    own = [sys.executable, "-m", "playwright", "install", "chromium"]
    logged("Installing Playwright's chromium", own, advice="or install chromium yourself")
    return True


last_lines: list[str] = []


def pytest() -> bool:
    ignored = [f"--ignore={folder}" for folder in (*ENGINE_TESTS, *PAGE_TESTS)]
    with (
        beside(PAGE_TESTS) as pages,
        subprocess.Popen(
            pytest_command(*ignored),
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        show(process.stdout or ())
        good = pages()
    return process.returncode == 0 and good


@contextmanager
def beside(
    folders: Sequence[str], environment: Mapping[str, str] | None = None, niceness: int = 0
) -> Iterator[Callable[[], bool]]:
    """Begin the tests of these folders; what is given waits for their end and shows what they
    wrote.
    """
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            # Several pytests at a time would write the same cache.
            pytest_command("-p", "no:cacheprovider", *folders),
            cwd=CHECKOUT,
            env={**os.environ, **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(os.nice, niceness),
        )

        def ended_well() -> bool:
            process.wait()
            output.seek(0)
            show(output)
            return process.returncode == 0

        try:
            yield ended_well
        finally:
            process.kill()
            process.wait()


def pytest_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "--color=no", *arguments]


def show(lines: Iterable[str]) -> None:
    last = "did not run"
    for line in lines:
        print(line, end="", flush=True)
        last = line.strip().strip("= ") or last
    last_lines.append(last)


if __name__ == "__main__":
    sys.exit(main())
