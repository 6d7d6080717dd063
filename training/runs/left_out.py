"""What a run's data did not hold, as numbers with their shares; from the engine's data_report.json.

The engine counts by reasons in its own words, each with its unit ("rows", "prompts",
"completions", "groups", …) and how many of those there were; they are shown as they are.
"""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

Report = Mapping[str, Any]
LeftOut = dict[str, Any]

# What is left out in one of these units takes answers away; groups and pairs follow from them, or
# say that nothing was preferred.
HELD = ("rows", "prompts", "completions")
SHORTENED = "prompt lost its oldest turns, for max_prompt_tokens"
UNREAD = "column that is not read: {}"


def share_of(report: Report | None) -> float | None:
    """The share of the data's answers that the run holds nothing of, by any reason.

    Of rows that were refused, prompts in what was left, completions in what was left of that. None
    where nobody counted.
    """
    if report is None:
        return None
    lost = dict.fromkeys(HELD, 0.0)
    for one in _dropped(report):
        if one["unit"] in lost and one["share"] is not None:
            lost[one["unit"]] += one["share"]
    return 1 - prod(1 - min(1.0, share) for share in lost.values())


def parts_of(report: Report | None) -> list[LeftOut]:
    """Each reason with its count; `of`: how many there were, None where nobody counted those."""
    if report is None:
        return []
    return [*_dropped(report), *_shortened(report), *_unread(report)]


def part(reason: str, count: int, of: int | None, unit: str = "rows") -> LeftOut:
    """share: None where it is not known of how many."""
    return {
        "reason": reason,
        "count": count,
        "unit": unit,
        "of": of or None,
        "share": count / of if of else None,
    }


def in_words(one: LeftOut) -> str:
    """12 of 132 completions (9.1%): completion is longer than max_completion_tokens"""
    if one["share"] is None:
        return f"{one['count']:,} {one['unit']}: {one['reason']}"
    return f"{one['count']:,} of {one['of']:,} {one['unit']} ({one['share']:.1%}): {one['reason']}"


def _dropped(report: Report) -> Iterator[LeftOut]:
    for one in report.get("dropped", []):
        unit = one.get("unit") or _unit(one["reason"])
        of = one.get("of", report.get("rows") if unit == "rows" else None)
        yield part(one["reason"], one["count"], of, unit)


def _unit(reason: str) -> str:
    """Reports without units say it in the reason, where it is not rows."""
    first = f"{reason.partition(' ')[0]}s"
    return first if first in ("completions", "pairs", "groups", "rankings") else "rows"


def _shortened(report: Report) -> Iterator[LeftOut]:
    found = report.get("prompts_shortened") or {}
    count, of = found.get("count", report.get("cut_prompts", 0)), found.get("of")
    if count:
        yield part(SHORTENED, count, of, "prompts")


def _unread(report: Report) -> Iterator[LeftOut]:
    """But for those that Prefloop itself writes beside what is learned from."""
    for one in report.get("unread_columns", []):
        if not one.get("expected"):
            yield part(UNREAD.format(one["column"]), one["count"], one.get("of"))
