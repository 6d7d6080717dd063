"""What a labeler notices of strangers: the next task's time while somebody does their worst.

One labeler ranks without a pause, 20 s in peace and 20 s under each kind of attack, on one machine
with the server, its stores and the attackers. The worst ratio is that of a median or of a 99th
percentile to the one in peace.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from annotate.models import Role
from annotate.services.projects import create_project
from tests import cast
from tests.benchmarks import bulk, labeling, machine, strangers_attacks
from tests.benchmarks.load import Browser
from tests.loop.runs.material import ready_snapshot
from tests.patience import PATIENCE_S
from tests.services import Site

HOST = "127.0.0.1"
SETTLING_S = 20.0


@contextmanager
def attacked(name: str, port: int, cookies: str) -> Iterator[None]:
    command = [sys.executable, strangers_attacks.__file__, name, str(port), cookies]
    process = subprocess.Popen(command)
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the attackers gave up: {name}")
    finally:
        process.kill()
        process.wait(PATIENCE_S)


async def cookies_of(port: int, username: str) -> dict[str, str]:
    return (await Browser(HOST, port).sign_in(username, cast.PASSWORD)).cookies


async def measured(
    port: int, cookies: dict[str, str], seconds: float, warm_up: float
) -> labeling.Figures:
    """Of a labeler who is signed in already: the place for sign-ins is what is attacked."""
    browser = Browser(HOST, port, dict(cookies))
    figures = labeling.Figures()
    begin = time.monotonic() + warm_up
    await labeling.labeler(browser, figures, begin, begin + seconds)
    return figures


def prepare(tasks: int) -> None:
    ada = cast.person("ada")
    project = create_project(actor_id=ada.pk, slug="bench", name="Bench")
    cast.member(project, "labeler", Role.LABELER)
    bulk.add_prompts(project, tasks)
    bulk.write_completions(cast.make_round(project, ada), labeling.TEXT)
    with tempfile.TemporaryDirectory() as folder:
        ready_snapshot(project, ada, Path(folder) / "draft")


def memory_of(site: Site) -> float:
    """MB that the web processes hold for themselves: what they share counts for none of them."""
    assert site.child.process is not None
    parent = psutil.Process(site.child.process.pid)
    every = [parent, *parent.children(recursive=True)]
    return sum(each.memory_full_info().uss for each in every) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--warm-up", type=float, default=5.0)
    parser.add_argument("--tasks", type=int, default=50_000)
    options = parser.parse_args()
    with machine.stores():
        prepare(options.tasks)
        with machine.web() as site:
            port = int(site.url.rsplit(":", 1)[1])
            owner, labeler = (asyncio.run(cookies_of(port, name)) for name in ("ada", "labeler"))
            said = "; ".join(f"{name}={value}" for name, value in owner.items())

            def next_task() -> tuple[float, float]:
                figures = asyncio.run(measured(port, labeler, options.seconds, options.warm_up))
                if figures.errors:
                    raise RuntimeError(f"{figures.errors} errors of the labeler")
                return labeling.percentiles(figures.next)

            peace = next_task()
            print(f"{'in peace':14} p50 {peace[0]:8} ms  p99 {peace[1]:8} ms")
            before, ratios = memory_of(site), {}
            for name in strangers_attacks.ATTACKS:
                with attacked(name, port, said):
                    under = next_task()
                print(f"{name:14} p50 {under[0]:8} ms  p99 {under[1]:8} ms")
                for which, now, then in zip(("p50", "p99"), under, peace, strict=True):
                    ratios[f"{name}, {which}"] = now / then
            time.sleep(SETTLING_S)  # the last estimate is a process of its own, and ends
            grown = memory_of(site) - before
    worst = max(ratios, key=lambda each: ratios[each])
    print(json.dumps({"worst_ratio": round(ratios[worst], 2), "worst": worst, "mb": round(grown)}))


if __name__ == "__main__":
    main()
