"""Rows of preference pairs, in the formats that people have them in.

{prompt, chosen, rejected} and {chosen, rejected}, of messages (TRL's conversational formats) or
plain texts; HH-RLHF's transcripts. A plain text as prompt is one user message: models are trained
as they are served, through the chat template. Optional columns: margin (what the chosen one's
reward is to exceed the other's by), strength (1 slightly, 2 clearly, 3 significantly, 0 not said),
weight, split, chosen_unacceptable, rejected_unacceptable, chosen_cut_off, rejected_cut_off (the
answer ended at a number of tokens, so the end of the turn does not follow it).
"""

from typing import Any

from formats.completions import Completion, alike
from formats.conversation import (
    Messages,
    asked,
    is_open_transcript,
    is_transcript,
    messages,
    transcript,
)
from training.engine.data.examples import (
    Answer,
    Example,
    Said,
    column,
    held_out,
    is_amount,
    weight,
)
from training.engine.data.formats import Format, columns, prompt_of, refuse_repeated
from training.engine.data.report import Refused
from training.engine.data.rows import Row

NO_PAIR = "row is no pair; it has no columns chosen and rejected"
NO_PROMPT = "row has no prompt, and chosen and rejected are no transcripts"
NO_ANSWER = "chosen or rejected does not end with the assistant's turn"
DIFFERENT = "chosen and rejected answer different prompts"
SAME = "chosen and rejected are the same"
# Rewards differ by a few; asked for more than this, a pair says nothing but "more".
MOST_MARGIN = 100
BAD_MARGIN = "the margin is not a number from 0 to 100"
BAD_STRENGTH = "the strength is not one of 0 to 3"
BAD_MARK = "chosen_unacceptable or rejected_unacceptable is neither true nor false"
BAD_CUT_OFF = "chosen_cut_off or rejected_cut_off is neither true nor false"


def read_pair(row: Row) -> tuple[Example]:
    """Raises Refused, Unreadable."""
    values = row.values
    if "chosen" not in values and "rejected" not in values:
        raise Refused(NO_PAIR, "name the file in data.rankings" if "tiers" in values else "")
    chosen, rejected = (_whole(values, side) for side in ("chosen", "rejected"))
    for turns in (chosen, rejected):
        if not turns or turns[-1]["role"] != "assistant":
            raise Refused(NO_ANSWER)
    if chosen[:-1] != rejected[:-1]:
        raise Refused(DIFFERENT)
    refuse_repeated(values.get("prompt"), (values["chosen"], values["rejected"]))
    cut_off = _marks(values, "cut_off", BAD_CUT_OFF)
    answers = [
        Completion(turns[-1]["content"], ended)
        for turns, ended in zip((chosen, rejected), cut_off, strict=True)
    ]
    if alike(*answers):
        raise Refused(SAME)
    said = Said(
        ((0,), (1,)),
        (_strength(values),),
        _unacceptable(values),
        weight(values),
        margin=_margin(values),
    )
    told = prompt_of(chosen[:-1], values)
    given = tuple(Answer(*each) for each in answers)
    return (Example(row.where, told, given, said, held_out(values)),)


def _whole(values: dict[str, Any], side: str) -> Messages:
    """The conversation with this answer as its last turn."""
    answer = column(values, side)
    if "prompt" not in values:
        if not isinstance(answer, str):
            return messages(answer, role="assistant")
        if not is_transcript(answer):
            raise Refused(NO_PROMPT)
        return transcript(answer)
    told, turns = asked(values["prompt"]), _answer(values["prompt"], answer)
    # Some files repeat the prompt in front of each answer.
    return turns if turns[: len(told)] == told else told + turns


def _answer(prompt: Any, answer: Any) -> Messages:
    """The turns of an answer, which goes on from a transcript with a transcript, or a text."""
    texts = isinstance(prompt, str) and isinstance(answer, str)
    if texts and is_open_transcript(prompt) and is_open_transcript(answer):
        return transcript(answer)
    return messages(answer, role="assistant")


def _margin(values: dict[str, Any]) -> float | None:
    margin = values.get("margin")
    if margin is None:
        return None
    if not is_amount(margin, at_most=MOST_MARGIN):
        raise Refused(BAD_MARGIN, repr(margin)[:40])
    return float(margin)


def _strength(values: dict[str, Any]) -> int | None:
    strength = values.get("strength", 0)
    if type(strength) is not int or not 0 <= strength <= 3:
        raise Refused(BAD_STRENGTH, repr(strength)[:40])
    return strength or None


def _unacceptable(values: dict[str, Any]) -> frozenset[int]:
    marks = _marks(values, "unacceptable", BAD_MARK)
    return frozenset(place for place, mark in enumerate(marks) if mark)


def _marks(values: dict[str, Any], name: str, problem: str) -> list[bool]:
    """The yes or no of both sides, no where a column is absent."""
    marks = [values.get(f"{side}_{name}", False) for side in ("chosen", "rejected")]
    if not all(type(mark) is bool for mark in marks):
        raise Refused(problem)
    return marks


PAIRS = Format(
    read_pair,
    columns(
        "chosen",
        "rejected",
        "margin",
        "strength",
        "weight",
        "chosen_unacceptable",
        "rejected_unacceptable",
        "chosen_cut_off",
        "rejected_cut_off",
    ),
    about=frozenset(
        {
            "chosen_id",
            "chosen_model",
            "rejected_id",
            "rejected_model",
            "round",
            "ranking_id",
            "labeler",
            "comparison_id",
        }
    ),
)
