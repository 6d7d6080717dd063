"""`make test`: every check and every test, each named with its seconds.

All of them run even when one fails; the exit status is not 0 when any did.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from setup import frontend  # noqa: E402
from setup.steps import Failed, logged  # noqa: E402

CHROMIUMS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
LINT_IMPORTS = str(Path(sys.executable).parent / "lint-imports")
Step = tuple[str, Callable[[], bool]]


def main() -> int:
    os.environ.pop("MAKEFLAGS", None)
    results = []
    for name, step in steps():
        print(f"\n=== {name}", flush=True)
        begin = time.monotonic()
        results.append((name, passes(step), time.monotonic() - begin))
    print()
    for name, good, seconds in results:
        print(f"{'passed' if good else 'FAILED'}  {seconds:7.1f} s  {name}")
    print(f"\npytest: {last_line_of_pytest}")
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


last_line_of_pytest = "did not run"


def pytest() -> bool:
    global last_line_of_pytest
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "--color=no"],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last_line_of_pytest = line.strip().strip("= ") or last_line_of_pytest
    return process.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
