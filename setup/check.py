"""`make test`: every check and every test, each named with its seconds. `make check`: no tests.

All of them run even when one fails; the exit status is not 0 when any did. Tests mostly wait, for
servers, browsers and each other's processes, so three groups of them run beside each other, each
with servers of its own. What the engine's and the pages' group say is shown when they have ended.

A test that fails fails the run. One that fails now and then lacks patience with a busy machine, or
the code has a race: running it again would hide which.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from setup import frontend  # noqa: E402
from setup.steps import Failed, logged  # noqa: E402


@dataclass(frozen=True)
class Group:
    """Tests of one pytest process."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    niceness: int = 0

    def started(self, output: int) -> subprocess.Popen[str]:
        # Several pytests at a time would write the same cache.
        place = ["-o", f"cache_dir={CHECKOUT / '.pytest_cache' / self.name}"]
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "--color=no", *place, *self.arguments],
            cwd=CHECKOUT,
            env={**os.environ, **self.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=partial(os.nice, self.niceness),
        )


# vLLM on a CPU binds its one thread to a core, each server to the same one, where all of them and
# the tests beside them then wait for each other.
ANY_CORE = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
# They need no pages, and begin before these are built. They compute: on two cores, the others'
# servers and browsers come first.
ENGINE = Group(
    "engine",
    (
        "tests/training",
        "tests/loop/evaluations",
        "tests/exchange",
        "tests/ranking",
        "tests/formats",
    ),
    ANY_CORE,
    niceness=10,
)
PAGES = Group(
    "pages",
    # As long as the others', which wait for vLLM most of their time.
    (
        "tests/browser",
        "tests/api",
        "tests/docker",
        "tests/faults",
        "tests/launch",
        "tests/lineage",
        "tests/promotion",
        "tests/snapshots",
    ),
    ANY_CORE,
)
OTHERS = Group(
    "others", [f"--ignore={one}" for one in (*ENGINE.arguments, *PAGES.arguments)], ANY_CORE
)
PASSED, FAILED = "passed", "FAILED"
CHROMIUMS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
LINT_IMPORTS = str(Path(sys.executable).parent / "lint-imports")
GROUPS = {group.name: group for group in (ENGINE, PAGES, OTHERS)}
Step = tuple[str, Callable[[], bool]]
Ended = tuple[int, str]  # exit code, and the last line that says something


@dataclass
class Result:
    verdict: str
    seconds: float


def main(wanted: Sequence[str]) -> int:
    """wanted: nothing: all; a group's name: its tests alone; or one of the sets of checks."""
    os.environ.pop("MAKEFLAGS", None)
    match wanted:
        case []:
            results = everything()
        case ["checks"]:
            results = checks()
        case ["frontend"]:
            results = {name: timed(name, step) for name, step in frontend_steps()}
        case [name] if name in GROUPS:
            results = alone(GROUPS[name])
        case _:
            print(f"There is no group {' '.join(wanted)}. make test GROUP={'|'.join(GROUPS)}")
            return 2
    print()
    for name, result in results.items():
        print(f"{result.verdict:8}  {result.seconds:7.1f} s  {name}")
    for line in last_lines:
        print(f"\npytest: {line}")
    return 1 if any(result.verdict == FAILED for result in results.values()) else 0


def everything() -> dict[str, Result]:
    results = {}
    with ExitStack() as running:
        engine = running.enter_context(beside(ENGINE.started))
        for name, step in (*python_steps(), *frontend_steps(), BROWSER):
            results[name] = timed(name, step)
        pages = running.enter_context(beside(PAGES.started))
        for group, step in (
            (OTHERS, partial(shown, OTHERS)),
            (PAGES, lambda: ended_well(*pages())),
            (ENGINE, lambda: ended_well(*engine())),
        ):
            results[group.name] = timed(f"tests: {group.name}", step)
    return results


def checks() -> dict[str, Result]:
    """mypy takes one core and most of the time: what checks the frontend runs beside it."""
    with beside(frontend_checks) as other:
        results = {name: timed(name, step) for name, step in python_steps()}
        results["frontend"] = timed("frontend", lambda: other()[0] == 0)
    last_lines.clear()
    return results


def alone(group: Group) -> dict[str, Result]:
    steps = [] if group is ENGINE else [("frontend build", build), BROWSER]
    results = {name: timed(name, step) for name, step in steps}
    results[group.name] = timed(f"tests: {group.name}", partial(shown, group))
    return results


def frontend_checks(output: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "frontend"]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True)


def timed(name: str, step: Callable[[], bool]) -> Result:
    print(f"\n=== {name}", flush=True)
    begin = time.monotonic()
    try:
        good = step()
    except Failed as failed:
        print(failed)
        good = False
    return Result(PASSED if good else FAILED, time.monotonic() - begin)


def python_steps() -> list[Step]:
    return [
        ("ruff check", tool("ruff", "check", ".")),
        ("ruff format", tool("ruff", "format", "--check", ".")),
        ("mypy", tool("mypy")),
        ("import contracts", lambda: runs([LINT_IMPORTS])),
    ]


def frontend_steps() -> list[Step]:
    return [
        ("frontend build", build),
        ("svelte-check", npm("run", "check")),
        ("frontend tests", npm("test")),
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


BROWSER: Step = ("browser", install_browser)
last_lines: list[str] = []


def shown(group: Group) -> bool:
    """Run a group's tests and show what they write as they write it."""
    with group.started(subprocess.PIPE) as process:
        last = show(process.stdout or ())
    return ended_well(process.returncode, last)


def ended_well(code: int, last: str) -> bool:
    """A test that ends the process may leave 0 behind; only pytest itself sums up."""
    return code == 0 and " passed" in last


@contextmanager
def beside(started: Callable[[int], subprocess.Popen[str]]) -> Iterator[Callable[[], Ended]]:
    """Begin what writes to a file; what is given waits for its end and shows what it wrote."""
    with tempfile.TemporaryFile("w+") as output:
        process = started(output.fileno())

        def wait() -> Ended:
            code = process.wait()
            output.seek(0)
            return code, show(output)

        try:
            yield wait
        finally:
            process.kill()
            process.wait()


def show(lines: Iterable[str]) -> str:
    """Print them; returns the last one that says something."""
    last = "did not run"
    for line in lines:
        print(line, end="", flush=True)
        last = line.strip().strip("= ") or last
    last_lines.append(last)
    return last


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
