"""Rows of raw rankings, as Prefloop exports them.

Completions are named by their position: `tiers` best first, ties inside a tier; `strengths`
between neighbouring tiers, 0 not said; `unacceptable` one entry a completion. Rankings that are
extras (`counted` false) are judgments like any other and are used, as in the export of pairs.
"""

from collections.abc import Iterator
from typing import Any

from formats.conversation import asked, refuse_more_than_text
from training.engine.data.examples import Answer, Example, Said, column, held_out, weight
from training.engine.data.formats import Format, columns, prompt_of, refuse_repeated
from training.engine.data.report import Refused
from training.engine.data.rows import Row

FEW = "fewer than two completions"
BAD_COMPLETIONS = "completions are not a list of {text}"
BAD_TIERS = "tiers do not place every completion once"
BAD_STRENGTHS = "strengths are not one of 0 to 3 for each step between tiers"
BAD_MARKS = "unacceptable is not a yes or no for each completion"
NO_RANKING = "row is no ranking; it has no column tiers"


def read_ranking(row: Row) -> tuple[Example]:
    """Raises Refused, Unreadable."""
    values = row.values
    if "tiers" not in values:
        hint = "name the file in data.pairs" if "chosen" in values else ""
        raise Refused(NO_RANKING, hint)
    told = prompt_of(asked(column(values, "prompt")), values)
    answers = tuple(_answers(column(values, "completions")))
    refuse_repeated(values["prompt"], values["completions"])
    if len(answers) < 2:
        raise Refused(FEW)
    tiers = _tiers(values["tiers"], len(answers))
    said = Said(
        tiers,
        _strengths(values.get("strengths", []), len(tiers) - 1),
        _unacceptable(values.get("unacceptable", []), len(answers)),
        weight(values),
        author=_author(values),
        revision=_revision(values),
    )
    return (Example(row.where, told, answers, said, held_out(values)),)


def _answers(completions: Any) -> Iterator[Answer]:
    if not isinstance(completions, list):
        raise Refused(BAD_COMPLETIONS, type(completions).__name__)
    for completion in completions:
        text = completion.get("text") if isinstance(completion, dict) else completion
        if not isinstance(text, str):
            raise Refused(BAD_COMPLETIONS, f"one is a {type(completion).__name__} without a text")
        if isinstance(completion, dict):
            refuse_more_than_text(completion)
        reason = completion.get("finish_reason") if isinstance(completion, dict) else None
        yield Answer(text, reason == "length")


def _tiers(value: Any, count: int) -> tuple[tuple[int, ...], ...]:
    whole = isinstance(value, list) and all(isinstance(tier, list) and tier for tier in value)
    places = [place for tier in value for place in tier] if whole else []
    if not all(type(place) is int for place in places) or sorted(places) != list(range(count)):
        raise Refused(BAD_TIERS, f"{count} completions, tiers {value!r}"[:120])
    return tuple(tuple(tier) for tier in value)


def _strengths(value: Any, steps: int) -> tuple[int | None, ...]:
    """0 and null both mean that a strength was not said."""
    if not isinstance(value, list) or (value and len(value) != steps):
        raise Refused(BAD_STRENGTHS, f"{steps} steps, strengths {value!r}"[:120])
    for strength in value:
        if strength is not None and (type(strength) is not int or not 0 <= strength <= 3):
            raise Refused(BAD_STRENGTHS, repr(strength)[:40])
    return tuple(strength or None for strength in value)


def _unacceptable(value: Any, count: int) -> frozenset[int]:
    whole = isinstance(value, list) and all(type(mark) is bool for mark in value)
    if not whole or len(value) not in (0, count):
        raise Refused(BAD_MARKS, f"{count} completions")
    return frozenset(place for place, mark in enumerate(value) if mark)


def _author(values: dict[str, Any]) -> tuple[Any, ...] | None:
    """A labeler has one ranking of a task."""
    task, labeler, ranking = (values.get(name) for name in ("task_id", "labeler", "ranking_id"))
    if type(task) is int and isinstance(labeler, str) and labeler:
        return task, labeler
    return (ranking,) if type(ranking) is int else None


def _revision(values: dict[str, Any]) -> int:
    revision = values.get("revision", 0)
    return revision if type(revision) is int else 0


RANKINGS = Format(
    read_ranking,
    columns(
        "completions",
        "completions.text",
        "completions.finish_reason",
        "tiers",
        "strengths",
        "unacceptable",
        "weight",
        "task_id",
        "labeler",
        "ranking_id",
        "revision",
    ),
    about=frozenset(
        {
            *(f"completions.{name}" for name in ("id", "model", "adapter_hash", "temperature")),
            *(f"completions.{name}" for name in ("top_p", "max_tokens", "tokens", "logprob_sum")),
            "prompt_id",
            "external_id",
            "round",
            "created_at",
            "counted",
            "could_look",
            "unacceptable_reasons",
            "shown",
            "active_ms",
            "rationale",
            "ratings_json",
            "tags_json",
            "rankings",
        }
    ),
)
