"""How many rankings a second this machine takes: 32 labelers against the real server.

Every labeler asks for the next task and submits a ranking, again and again without a pause, on
one machine with the server, PostgreSQL, Valkey, the workers and this load.
"""

import argparse
import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from statistics import quantiles
from uuid import uuid4

from annotate.models import Role, Round
from annotate.services.projects import create_project
from tests import cast
from tests.benchmarks import bulk, machine
from tests.benchmarks.load import Browser

TEXT = "A plausible answer of the length that small models give, sentence after sentence. " * 8


@dataclass(slots=True)
class Figures:
    """Seconds of each request within the measured time."""

    next: list[float] = field(default_factory=list)
    submit: list[float] = field(default_factory=list)
    errors: int = 0

    def fail(self, answer: object) -> None:
        """Count an error, and show the first ones."""
        self.errors += 1
        if self.errors <= 3:
            print(f"error: {answer}")


async def labeler(browser: Browser, figures: Figures, begin: float, end: float) -> None:
    """Rank until the time is over."""
    while (now := time.monotonic()) < end:
        status, answer = await browser.call("POST", "/api/projects/bench/claims", {"have": []})
        got = time.monotonic()
        if status != 200 or answer["claim"] is None:
            figures.fail(answer)
            continue
        claim = answer["claim"]
        letters = [response["label"] for response in claim["responses"]]
        random.shuffle(letters)
        body = {
            "key": str(uuid4()),
            "tiers": [[letter] for letter in letters],
            "active_ms": 20_000,
        }
        status, answer = await browser.call("POST", f"/api/claims/{claim['id']}/ranking", body)
        if status != 201:
            figures.fail(answer)
            continue
        if now >= begin:
            figures.next.append(got - now)
            figures.submit.append(time.monotonic() - got)


async def run(port: int, count: int, warm_up: float, seconds: float) -> Figures:
    """`count` labelers at once; only what begins after the warm-up counts."""
    browsers = await asyncio.gather(
        *(Browser("127.0.0.1", port).sign_in(f"labeler{n}", cast.PASSWORD) for n in range(count))
    )
    figures = Figures()
    begin = time.monotonic() + warm_up
    await asyncio.gather(
        *(labeler(browser, figures, begin, begin + seconds) for browser in browsers)
    )
    return figures


def prepare(labelers: int, tasks: int) -> None:
    """A project with a round of K=4 that is ready to be ranked once."""
    ada = cast.person("ada")
    project = create_project(actor_id=ada.pk, slug="bench", name="Bench")
    for number in range(labelers):
        cast.member(project, f"labeler{number}", Role.LABELER)
    bulk.add_prompts(project, tasks)
    round_ = cast.make_round(project, ada)
    bulk.write_completions(round_, TEXT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labelers", type=int, default=32)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--warm-up", type=float, default=5.0)
    options = parser.parse_args()
    with machine.stores():
        prepare(options.labelers, options.tasks)
        with machine.jobs("worker", "beat"), machine.web() as site:
            port = int(site.url.rsplit(":", 1)[1])
            figures = asyncio.run(run(port, options.labelers, options.warm_up, options.seconds))
        check(figures)
    print(json.dumps(result(figures, options.seconds)))


def check(figures: Figures) -> None:
    """What was answered is what is stored."""
    round_ = Round.objects.get()
    stored = round_.rankings.count()
    if stored < len(figures.submit):
        raise RuntimeError(f"{len(figures.submit)} rankings were accepted, {stored} are stored")


def result(figures: Figures, seconds: float) -> dict[str, float | int]:
    next_, submit = percentiles(figures.next), percentiles(figures.submit)
    return {
        "rankings_per_s": round(len(figures.submit) / seconds, 1),
        "next_p50_ms": next_[0],
        "next_p99_ms": next_[1],
        "submit_p50_ms": submit[0],
        "submit_p99_ms": submit[1],
        "errors": figures.errors,
        "rankings": len(figures.submit),
    }


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    cuts = quantiles(seconds, n=100)
    return round(cuts[49] * 1000, 1), round(cuts[98] * 1000, 1)


if __name__ == "__main__":
    main()
