"""What a newcomer gets: `make run`, the example's first round ranked, *Step now*, the decision.

A Prefloop of its own with an empty folder and free ports, with everything as it comes: the form's
round, two labelers over the API, the example's loop. From the start to the question whether the
candidate is promoted it counts the minutes, and the completions of ranked tasks that the runs' data
did not hold for their length or their format.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from annotate.environment import CHECKOUT, free_port
from annotate.services.example import SLUG
from tests.whole_loop import Json, Person, rank_everything, shorter, wait, wait_until_written
from training.engine.data.drafts import NO_COMPARISON, SILENT
from training.engine.data.identical import IDENTICAL
from training.runs.left_out import HELD, in_words

Say = Callable[[str], None]

# What a round is by the form for a new one, of the project's usual K and overlap.
SOURCE = {"follows": True, "weight": 1, "temperature": 0.8, "top_p": 0.95, "max_tokens": 256}
PROMPTS = {"tag": None, "search": "", "sample": None, "split": "train"}
LABELERS = ("lena", "luis")
PATIENCE_S = 3600.0
# Nothing is preferred there: no completion is left out for what it is.
NO_PREFERENCE = (IDENTICAL, NO_COMPARISON, SILENT)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--keep", help="an empty folder that stays, with its logs")
    options.add_argument("--prompts", type=int, help="fewer than all of the example's, for a try")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="prefloop-first-") as folder:
        print(json.dumps(measure(Path(chosen.keep or folder), chosen.prompts)))


def measure(folder: Path, prompts: int | None = None) -> Json:
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"{(time.monotonic() - begin) / 60:5.1f} min  {text}", flush=True)

    with site(folder) as url:
        admin, *labelers = (person(url, folder, name) for name in ("ada", *LABELERS))
        say("the pages are there")
        wait("the model", lambda: any(row["available"] for row in models(admin)), PATIENCE_S)
        say("the model is loaded")
        first = {"prompts": {**PROMPTS, "sample": prompts}, "sources": [SOURCE], "start": True}
        number = admin.post("rounds", first)["number"]
        rankings = rank_while_it_is_written(admin, labelers, number)
        say(f"round {number} is written and ranked: {rankings} rankings")
        step = until_decision(admin, say)
        minutes = (time.monotonic() - begin) / 60
        left_out = sum(lost(admin, run, say) for run in (step["judge_run"], step["run"]))
    return {"minutes": round(minutes, 1), "left_out": left_out, "rankings": rankings}


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """The processes of `make run`; the address of its pages, once they are there."""
    port = free_port()
    own = {"VAR_DIR": str(folder), "PORT": str(port), "INFERENCE_PORT": str(free_port())}
    url = f"http://127.0.0.1:{port}"
    with (folder / "said.log").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "annotate.launch"],
            cwd=CHECKOUT,
            env={**os.environ, **own},
            stdout=said,
            stderr=said,
        )
        try:
            wait("make run", lambda: answers(url, process), PATIENCE_S)
            yield url
        finally:
            process.terminate()
            process.wait(120)


def answers(url: str, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"make run ended with {process.returncode}: see said.log")
    try:
        return httpx.get(f"{url}/api/health", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def person(url: str, folder: Path, name: str) -> Person:
    password = (folder / "secrets" / f"password_{name}").read_text().strip()
    return Person(url, SLUG).sign_in(name, password)


def models(admin: Person) -> list[Json]:
    found: list[Json] = admin.get("models")["results"]
    return found


def rank_while_it_is_written(admin: Person, labelers: list[Person], number: int) -> int:
    """Labeling starts while the model writes."""
    given = 0
    while admin.get(f"rounds/{number}")["state"] == "generating":
        given += rank_everything(labelers, shorter)
        time.sleep(1.0)
    wait_until_written(admin, number, PATIENCE_S)
    return given + rank_everything(labelers, shorter)


def until_decision(admin: Person, say: Say) -> Json:
    """*Step now*, until the step asks whether to promote."""
    number = admin.post("loop/step")["number"]
    told = 0
    limit = time.monotonic() + PATIENCE_S
    while time.monotonic() < limit:
        step: Json = admin.get(f"loop/steps/{number}")
        for event in step["events"][told:]:
            say(f"{event['stage']}: {event['text']}")
        told = len(step["events"])
        if step["stage"] == "promote" and step["waiting_for"]:
            return step
        if step["state"] != "running":
            raise RuntimeError(f"the step is {step['state']}: {step['message']}")
        time.sleep(1.0)
    raise RuntimeError("the step does not come to its decision")


def lost(admin: Person, run: int, say: Say) -> int:
    """How many completions a run did not hold, as its report of the data says."""
    parts = admin.get(f"runs/{run}")["left_out"]["parts"]
    for one in parts:
        say(f"run {run} left out: {in_words(one)}")
    return sum(
        one["count"] for one in parts if one["unit"] in HELD and one["reason"] not in NO_PREFERENCE
    )


if __name__ == "__main__":
    main()
