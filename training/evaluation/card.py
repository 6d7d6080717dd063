"""The adapter card: what an adapter is, what it learned from, what it is worth."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.runs.left_out import in_words, parts_of, share_of
from training.snapshots.counts import COUNTED
from training.snapshots.sides import HELD_OUT, TRAIN


@dataclass(frozen=True, slots=True)
class Data:
    """The snapshot: `counts` as its manifest has them."""

    snapshot: int
    content_hash: str
    counts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One evaluation of the adapter. incumbent: in words."""

    number: int
    incumbent: str
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the card tells.

    made: the run's run.json. measured: its evaluation.json. data_report: its file of that name.
    parent: the adapter it was made from,
    in words. judge: the reward adapter it learned from, in words; "" for none.
    """

    project: str
    number: int
    base: str
    method: str
    content_hash: str
    run: int
    spec: Mapping[str, Any]
    data: Data
    made: Mapping[str, Any]
    measured: Mapping[str, Any]
    data_report: Mapping[str, Any] | None = None
    parent: str = ""
    judge: str = ""
    evaluations: Sequence[Evaluated] = ()


def card(facts: Facts) -> str:
    """Markdown with the metadata block that model hubs read."""
    parts = [
        _metadata(facts),
        f"# Adapter {facts.number} of the project {_plain(facts.project)}",
        _summary(facts),
        "## Lineage",
        _lineage(facts),
        "## Data",
        _data(facts.data),
        _left_out(facts.data_report),
        "## What was measured of the run",
        _measured(facts.measured),
        "## Evaluations",
        _evaluations(facts.evaluations),
        "## Intended use and limits",
        _REWARD_USE if facts.method == "reward" else _USE,
        _LIMITS,
        "## How it was trained",
        _versions(facts.made),
        "The whole spec; paths are those inside of the run's folder:",
        _fenced(json.dumps(facts.spec, indent=2, ensure_ascii=False, sort_keys=True), "json"),
        "## Licence",
        "*To be filled in: the licence of the base model, the terms of the data.*",
    ]
    return "\n\n".join(parts) + "\n"


def _metadata(facts: Facts) -> str:
    """YAML; text stands as JSON, which YAML reads as text whatever is in it."""
    tags = ["lora", "prefloop", facts.method]
    lines = [
        f"base_model: {json.dumps(facts.base)}",
        "library_name: peft",
        "license: other",
        "license_name: to-be-filled-in",
        f"tags: {json.dumps(tags)}",
    ]
    return "\n".join(["---", *lines, "---"])


def _summary(facts: Facts) -> str:
    what = "a reward model: it scores answers" if facts.method == "reward" else "it writes answers"
    return (
        f"A LoRA adapter on {_code(facts.base)}, trained with the method {_code(facts.method)}; "
        f"{what}. Its content has the sha256 {_code(facts.content_hash)}."
    )


def _lineage(facts: Facts) -> str:
    lines = [
        f"- base model: {_code(facts.base)}",
        f"- run {facts.run} on snapshot {facts.data.snapshot}",
        f"- made from: {_plain(facts.parent) or 'the base alone'}",
    ]
    if facts.judge:
        lines.append(f"- rewarded by: {_plain(facts.judge)}")
    return "\n".join(lines)


def _data(data: Data) -> str:
    sides = [data.counts.get(side, {}) for side in (TRAIN, HELD_OUT)]
    rows = ([name, *(side.get(name, "") for side in sides)] for name in COUNTED)
    return "\n\n".join(
        [
            f"Snapshot {data.snapshot}, sha256 {_code(data.content_hash)}: rankings that "
            f"{data.counts.get('labelers', '?')} labelers gave in the rounds "
            f"{', '.join(map(str, data.counts.get('rounds', []))) or '?'}.",
            _table(["", TRAIN, HELD_OUT], rows),
        ]
    )


def _left_out(report: Mapping[str, Any] | None) -> str:
    if report is None:
        return "What the run left out of it was not recorded."
    share, parts = share_of(report), parts_of(report)
    if not parts:
        return "The run left nothing of it out."
    lines = "\n".join(f"- {_plain(in_words(one))}" for one in parts)
    whole = f"\n\nIt holds nothing of {share:.1%} of the answers." if share else ""
    return f"Left out by the run:\n\n{lines}{whole}"


_PARTS = (
    ("accuracy", "held-out preferences agreed with", "accuracy"),
    ("others", "the same by the majority of the other labelers", "accuracy"),
    ("pairwise", "the same by one other labeler", "accuracy"),
    ("kl", "KL from the reference, nats a token", "kl"),
    ("general_text", "forgetting on general text, nats a token", "difference"),
    ("demonstrations", "forgetting on demonstrations, nats a token", "difference"),
    ("length", "tokens of an answer more than the base's", "difference"),
)


def _measured(measured: Mapping[str, Any]) -> str:
    if not measured:
        return "Nothing: the run left no measurements."
    missing, people = measured.get("missing", {}), _people(measured)
    rows = []
    for name, title, key in _PARTS:
        part = people.get(name) if key == "accuracy" else measured.get(name)
        if part is None:
            why = people.get(f"no {name}") or missing.get(name, "not measured")
            rows.append([title, "", "", _cell(why)])
            continue
        found = part if key == "accuracy" else part["per_token" if name == "kl" else key]
        rows.append([title, _number(found["value"]), _range(found), _cell(found.get("count", ""))])
    return _table(["", "value", "95% interval", "from how many, or why not"], rows)


def _people(measured: Mapping[str, Any]) -> dict[str, Any]:
    """The model's accuracy, and what labelers tell of each other; "no ...": why there is none.

    evaluation.json of version 1 says "ceiling" for "pairwise", and nothing of a majority.
    """
    agreement = measured.get("agreement") or {}
    why = measured.get("missing", {}).get("agreement")
    return {
        "accuracy": measured.get("accuracy"),
        "others": agreement.get("others_majority_accuracy"),
        "no others": agreement.get("others_reason") or why,
        "pairwise": agreement.get("pairwise", agreement.get("ceiling")),
        "no pairwise": agreement.get("reason") or why,
    }


def _evaluations(evaluations: Sequence[Evaluated]) -> str:
    if not evaluations:
        return "None yet: it was not compared with another model."
    return "\n\n".join(map(_evaluation, evaluations))


def _evaluation(one: Evaluated) -> str:
    report = one.report
    missing = report.get("missing", {})
    head = f"**Evaluation {one.number}**, against {_plain(one.incumbent)}"
    if (found := report.get("win_rate")) is None:
        said = f"no win rate: {_plain(missing.get('win_rate', 'not measured'))}."
    else:
        said = (
            f"win rate {found['value']:.1%} (95%: {found['low']:.1%} to {found['high']:.1%}, "
            f"{_plain(found['method'])}) on {found['prompts']} held-out prompts: {found['wins']} "
            f"won, {found['ties']} tied, {found['losses']} lost."
        )
    lines = [f"{head}: {said}"]
    if judge := report.get("judge"):
        accuracy = judge.get("accuracy")
        how = (
            f", which agrees with {accuracy['value']:.1%} of held-out preferences"
            if accuracy
            else ""
        )
        lines.append(f"Judged by reward adapter {judge['adapter']}{how}.")
    if length := report.get("length"):
        lines.append(
            f"Answers have {length['candidate']:.1f} tokens in the mean, "
            f"{length['incumbent']:.1f} on the other side."
        )
    lines += [_plain(note) for note in report.get("notes", [])]
    return " ".join(lines)


_USE = (
    "It is for answering prompts like those of the project, loaded on exactly the base named above "
    "and asked with that base's chat template. It is no model of its own."
)
_REWARD_USE = (
    "It is for comparing answers to the same prompt, loaded on exactly the base named above. A "
    "reward by itself means nothing: only differences between answers to one prompt were learned."
)
_LIMITS = (
    "It learned what these labelers preferred in these rounds. A win rate that a reward model "
    "judges says what they would probably prefer, as far as that model is right. None of this "
    "measures truth, safety, or other languages and subjects than those of the prompts. "
    "Try it on your own prompts before it answers people."
)


def _versions(made: Mapping[str, Any]) -> str:
    rows = [[_code(name), _code(str(version))] for name, version in _known(made.get("versions"))]
    if (git := made.get("git")) and git.get("revision"):
        changed = ", changed since" if git.get("changed") else ""
        rows.append(["Prefloop", f"{_code(git['revision'])}{changed}"])
    device = made.get("device") or {}
    if device.get("type"):
        rows.append(["device", _code(str(device.get("name") or device["type"]))])
    seeds = made.get("seeds") or {}
    rows += [[f"seed of {_cell(name)}", _cell(seed)] for name, seed in seeds.items()]
    return _table(["", "version"], rows) if rows else "The run left no record of versions."


def _known(versions: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    return [(name, version) for name, version in (versions or {}).items() if version]


def _number(value: float) -> str:
    return f"{value:.3f}"


def _range(estimate: Mapping[str, Any]) -> str:
    low, high = estimate.get("low"), estimate.get("high")
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _cell(value: Any) -> str:
    return _plain(f"{value:g}" if isinstance(value, float) else str(value))


def _plain(text: str) -> str:
    """Text that Markdown and HTML take as nothing but text, in one line."""
    line = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]<>#|~!&])", r"\\\1", line)


def _code(text: str) -> str:
    line = " ".join(text.split()).replace("`", "'").replace("|", "/")
    return f"`{line}`" if line else ""


def _fenced(text: str, language: str) -> str:
    """In a fence longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
