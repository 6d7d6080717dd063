"""The whole loop at its full size: does the model learn what its labelers want?

Real prompts; completions by the real vLLM; labelers, who are programs, rank them through the public
API by a hidden rule, the shorter the better. One step of the loop by its policy: snapshot, a judge,
QLoRA on NF4, evaluation, gate, promotion, hot swap. Then the base and the project's model answer
prompts that nobody ranked before, and the labelers say blind which answers they prefer.
"""

import argparse
import gzip
import json
import time
from pathlib import Path
from typing import Any

from annotate.models import Role
from annotate.services.projects import create_project
from tests import cast, services
from tests.benchmarks import machine
from tests.whole_loop import (
    Json,
    Person,
    open_round,
    rank_everything,
    shorter,
    turn,
    wait,
    wait_until_written,
)
from training.evaluation.win_rate import of_counts

DATA = Path(__file__).with_name("data")
SLUG = "loop"
PATIENCE_S = 1800.0
LONGEST_PROMPT = 600  # characters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="dpo", choices=["dpo", "kto"])
    parser.add_argument("--prompts", type=int, default=100, help="ranked in the first round")
    parser.add_argument("--unseen", type=int, default=80, help="answered by both in the last one")
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--lr", type=float, default=2e-4)
    options = parser.parse_args()
    jobs = machine.jobs("worker", "generator", "trainer", "beat")
    with machine.stores(), services.local_vllm(), jobs, machine.web() as site:
        people = prepare(site.url)
        begin = time.monotonic()
        figures = measure(people, options)
        figures["minutes"] = round((time.monotonic() - begin) / 60, 1)
    print(json.dumps(figures))


def prepare(url: str) -> list[Person]:
    """The admin first, then two labelers; people are the one thing made without the API."""
    ada = cast.person("ada")
    project = create_project(actor_id=ada.pk, slug=SLUG, name="Loop")
    for name in ("lena", "luis"):
        cast.member(project, name, Role.LABELER)
    return [Person(url, SLUG).sign_in(name, cast.PASSWORD) for name in ("ada", "lena", "luis")]


def measure(people: list[Person], options: argparse.Namespace) -> dict[str, Any]:
    admin, *labelers = people
    chosen = real_prompts()
    import_prompts(admin, chosen, options)
    wait("vLLM", lambda: bool(available(admin)), PATIENCE_S)
    sampling = {"temperature": 0.8, "top_p": 0.95, "max_tokens": options.max_tokens}

    number = open_round(
        admin,
        prompts={"tag": "first", "split": None},
        k=options.k,
        sources=[{"follows": True, **sampling}],
    )
    wait_until_written(admin, number, PATIENCE_S)
    given = rank_everything(labelers, shorter)
    print(f"{given} rankings by the hidden rule", flush=True)

    admin.put("loop", {"settings": policy(options), "active": False})
    step = turn(admin, PATIENCE_S, lambda text: print(text, flush=True))
    if step["state"] != "done" or not step["promoted"]:
        raise RuntimeError(f"the step is {step['state']}: {step['message']}")

    sources = [{"served_model": base(admin), **sampling}, {"follows": True, **sampling}]
    number = open_round(admin, prompts={"tag": "unseen", "split": None}, k=2, sources=sources)
    wait_until_written(admin, number, PATIENCE_S)
    rank_everything(labelers, shorter)
    return {**against_base(admin, number), "method": options.method}


def policy(options: argparse.Namespace) -> Json:
    values = {
        "base": {"precision": "nf4"},
        "data": {"max_prompt_tokens": 256, "max_completion_tokens": 128},
        "optimizer": {"lr": options.lr},
        "training": {"epochs": options.epochs},
        "evaluation": {"answers": 0},
    }
    # A new head on a hundred rankings: it takes a few passes until it tells anything.
    judge = {
        "base": {"precision": "nf4"},
        "data": {"max_prompt_tokens": 256, "max_completion_tokens": 128},
        "optimizer": {"lr": 3e-4},
        "training": {"epochs": 4},
        "evaluation": {"answers": 0},
    }
    return {
        "run": {"method": options.method, "preset": "135m-cpu", "values": values},
        "judge": {"train": True, "preset": "135m-cpu", "values": judge},
        "evaluation": {"prompts": 24, "max_tokens": options.max_tokens},
        "gate": {"min_win_rate": 0.5, "max_length_ratio": 2.0},
        "promotion": "automatic",
        "next_round": None,
    }


def real_prompts() -> list[Json]:
    """Short enough to be answered in a few sentences."""
    with gzip.open(DATA / "completions.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["prompt"][0]["content"].strip() for line in file]
    return [{"prompt": text} for text in dict.fromkeys(texts) if len(text) <= LONGEST_PROMPT]


def import_prompts(admin: Person, chosen: list[Json], options: argparse.Namespace) -> None:
    if len(chosen) < options.prompts + options.unseen:
        raise SystemExit(f"There are {len(chosen)} prompts: ask for fewer.")
    for number, row in enumerate(chosen):
        row["tags"] = ["first" if number < options.prompts else "unseen"]
    rows = chosen[: options.prompts + options.unseen]
    text = "\n".join(json.dumps(row) for row in rows)
    report = admin.post("prompts/import", {"text": text, "format": "jsonl"})
    print(f"{report['imported']} prompts imported", flush=True)


def available(admin: Person) -> list[Json]:
    return [row for row in admin.get("models")["results"] if row["available"]]


def base(admin: Person) -> int:
    found: int = next(row["id"] for row in available(admin) if row["kind"] == "base")
    return found


def against_base(admin: Person, number: int) -> dict[str, float]:
    """Of the project's model over the base, a prompt of the last round each."""
    name = next(row["name"] for row in available(admin) if row["kind"] == "base")
    # On a CPU the base answers through an adapter that changes nothing, the zero adapter.
    wins = losses = 0
    for row in admin.lines(f"export/comparisons.jsonl?round={number}"):
        of_base = row["chosen_model"] == name or row["chosen_model"].startswith(f"{name}+zero@")
        wins, losses = wins + (not of_base), losses + of_base
    total: int = admin.get(f"rounds/{number}")["prompts"]
    found = of_counts(wins, total - wins - losses, losses)
    assert found is not None
    return {
        "win_rate": round(found.value, 3),
        "low": round(found.low, 3),
        "high": round(found.high, 3),
        "prompts": total,
    }


if __name__ == "__main__":
    main()
