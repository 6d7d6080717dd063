"""The dataset card: what a snapshot holds, for who is to use it."""

from collections.abc import Iterable
from typing import Any

from training.engine.spec import Method
from training.snapshots.counts import COUNTED
from training.snapshots.duplicates import PERCENT
from training.snapshots.rows import DEMONSTRATION_COLUMNS, RANKING_COLUMNS
from training.snapshots.sides import HELD_OUT, TRAIN
from training.snapshots.spec import Aggregation, SnapshotSpec

_ROWS_ARE = {
    Aggregation.EVERY: "Each row is one labeler's ranking.",
    Aggregation.MAJORITY: "Each row is a task: an answer stands above another if more labelers "
    "preferred it; even votes, and majorities that contradict each other in a circle, are ties.",
    Aggregation.MEAN_RANK: "Each row is a task: its answers in the order of their mean places.",
}
_JOINED = (
    " Strengths are the mean of those said. An answer is unacceptable if more than half of the "
    "labelers marked it and no acceptable one stands level with it or below."
)


def card(project: str, spec: SnapshotSpec, counts: dict[str, Any]) -> str:
    """Markdown with the metadata block that dataset hubs read.

    project: its address. counts: of `Counts.as_dict`.
    """
    joined = "" if spec.aggregation is Aggregation.EVERY else _JOINED
    parts = [
        _metadata(counts),
        f"# Preferences of the project {project}",
        "Rankings that people gave of models' answers to the same prompt.",
        "## What is in it",
        _table(
            ["", TRAIN, HELD_OUT],
            ([name, counts[TRAIN][name], counts[HELD_OUT][name]] for name in COUNTED),
        ),
        f"{_ROWS_ARE[spec.aggregation]}{joined} A row's `weight` is "
        + ("its part of a task that counts 1." if spec.weight == "task" else "1 a ranking."),
        _identical(counts),
        "## How it was chosen",
        _chosen(spec, counts),
        "## Split",
        "A prompt's side is fixed by the hash of its content. Prompts that are nearly the same "
        f"(at least {PERCENT}% of their three-word runs) are on one side: held out, if "
        "any of them is. Nothing held out is in a file of `train/`.",
        "## People",
        f"{counts['labelers']} labelers. {_agreement(counts['agreement'])}",
        "## Where the answers come from",
        _table(
            ["model", "adapter", "completions"],
            (
                [_code(one["model"]), _code(one["adapter_hash"]), one["completions"]]
                for one in counts["models"]
            ),
        ),
        "## How each method takes it",
        _table(
            ["method", "ties", "strength", "winner unacceptable"],
            ([str(method), *method.facts.marks] for method in Method),
        ),
        "## Reading it",
        "With the library `datasets`, from the folder that this file is in:\n\n"
        "```python\nfrom datasets import load_dataset\n\n"
        'load_dataset(".", "rankings")\n```',
        "## Columns",
        "`rankings.jsonl`:\n\n" + _list(RANKING_COLUMNS),
        "`demonstrations.jsonl`:\n\n" + _list(DEMONSTRATION_COLUMNS),
        "## Licence and provenance",
        "*To be filled in: the licence of the prompts, the terms of the models that wrote the "
        "answers, how labelers were found, paid and asked for consent, personal data.*",
    ]
    return "\n\n".join(parts) + "\n"


def _identical(counts: dict[str, Any]) -> str:
    pairs = sum(counts[side]["identical"] for side in (TRAIN, HELD_OUT))
    return (
        "Identical answers to a prompt (the same text, both complete or both cut off) are ties, in "
        "the tier of the best placed of them: no preference between them can be meant. "
        f"`identical` counts the pairs that labelers had put in an order: {pairs:,} "
        f"{'pair' if pairs == 1 else 'pairs'} of identical answers left out of the comparisons. "
        "An answer that was cut off has the `finish_reason` `length`: it is not to be learned that "
        "the turn ends there."
    )


def _metadata(counts: dict[str, Any]) -> str:
    """With it `load_dataset(folder, "rankings")` finds the files."""
    lines = ["license: other", "license_name: to-be-filled-in", "tags: [preferences, rlhf]"]
    lines.append("configs:")
    for kind, counted in (("rankings", "rows"), ("demonstrations", "demonstrations")):
        sides = [side for side in (TRAIN, HELD_OUT) if counts[side][counted]]
        if sides:
            lines += [f"- config_name: {kind}", "  data_files:"]
        for side in sides:
            lines += [f"  - split: {side}", f"    path: {side}/{kind}.jsonl"]
    return "\n".join(["---", *lines, "---"])


def _chosen(spec: SnapshotSpec, counts: dict[str, Any]) -> str:
    values = spec.as_dict()
    rounds = ", ".join(map(str, counts["rounds"]))
    people = f"{len(values['labelers'])} of the labelers" if values["labelers"] else "all"
    return "\n".join(
        [
            f"- rounds: {rounds}",
            f"- given: from {values['since'] or 'the beginning'} to {values['until'] or 'the end'}",
            f"- labelers: {people}",
            *_excluded(values),
            f"- rankings a task: at least {spec.minimum_overlap}",
            f"- tasks that somebody flagged: {'kept' if spec.flagged else 'left out'}",
        ]
    )


def _excluded(values: dict[str, Any]) -> list[str]:
    rounds = ", ".join(map(str, values["excluded_rounds"]))
    people = len(values["excluded_labelers"])
    found = [f"- without the rounds: {rounds}"] if rounds else []
    return [*found, f"- without {people} of the labelers"] if people else found


def _agreement(figures: dict[str, Any]) -> str:
    if figures["rate"] is None:
        return "No two of them ordered the same two answers, so their agreement is not known."
    return (
        f"On {figures['tasks']} tasks that several of them ranked, two labelers who both ordered "
        f"two answers ordered them alike in {figures['rate']:.1%} of "
        f"{figures['comparisons']} cases."
    )


def _table(head: list[str], rows: Iterable[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _list(columns: dict[str, str]) -> str:
    return "\n".join(f"- `{name}`: {meaning}" for name, meaning in columns.items())


def _code(text: str) -> str:
    return "`" + text.replace("`", "'").replace("|", "/").replace("\n", " ") + "`" if text else ""
