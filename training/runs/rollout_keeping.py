"""Which of a run's answers the database keeps; all of them are in the run's rollouts.jsonl.

Of a step its first ANSWERS_A_STEP answers. While a run has at most MOST answers, all steps. Then
whole steps go, from the middle: its first steps stay as far as they fill FIRST answers, so that the
beginning can be compared, and its latest ones as far as they fill the rest; one of each at least.
"""

from collections.abc import Sequence
from typing import Any

MOST, FIRST = 10_000, 2_000
ANSWERS_A_STEP = 1_000
# What is longer is shortened: characters of an answer, of a prompt's messages together, numbers.
ANSWER, PROMPT, VALUES = 20_000, 20_000, 4_000
MESSAGES, SOURCES, NAME = 100, 50, 200
CUT = "…"


def to_drop(counts: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """First and last step of those that go; None as long as all fit.

    counts: of each step that is kept its answers, by ascending step.
    """
    total = sum(count for _, count in counts)
    if total <= MOST:
        return None
    begin = _filling([count for _, count in counts], FIRST)
    room = MOST - sum(count for _, count in counts[:begin])
    end = len(counts) - _filling([count for _, count in reversed(counts)], room)
    return (counts[begin][0], counts[end - 1][0]) if begin < end else None


def _filling(counts: Sequence[int], room: int) -> int:
    """How many of the first steps have room; one at least."""
    filled = 0
    for number, count in enumerate(counts):
        filled += count
        if filled > room:
            return max(number, 1)
    return len(counts)


def short_text(text: str, room: int = ANSWER) -> str:
    """The beginning of a text that is too long, without NUL, which PostgreSQL's texts have not."""
    text = text.replace("\0", "")
    return text if len(text) <= room else text[: room - 1] + CUT


def short_messages(messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The last messages that have room; the first of them with its beginning."""
    room, found = PROMPT, []
    for message in reversed(messages[-MESSAGES:]):
        if room <= 0:
            break
        content = short_text(message["content"], room)
        found.append({"role": message["role"], "content": content})
        room -= len(content)
    return found[::-1]


def shortened(row: dict[str, Any]) -> dict[str, Any]:
    """The row within its bounds, and `shortened`: whether it was not."""
    prompt, answer = short_messages(row["prompt"]), short_text(row["answer"])
    values = row["values"][:VALUES]
    was = (len(row["prompt"]), len(row["answer"]), len(row["values"]))
    cut = (len(prompt), len(answer), len(values)) != was or any(
        len(kept["content"]) != len(message["content"])
        for kept, message in zip(prompt, row["prompt"], strict=False)
    )
    return {**row, "prompt": prompt, "answer": answer, "values": values, "shortened": cut}
