"""The blind names under which labelers see responses: A for the first one shown, and so on."""

from collections.abc import Sequence
from typing import Any

from annotate.models import Ranking
from annotate.ranking import groups_of, same_of
from formats.completions import Completion

LETTERS = "ABCDEFGHI"


def alike_in_letters(shown: Sequence[Completion]) -> list[list[str]]:
    """The letters of responses that are the same answer, two or more in a list.

    shown: in the order in which the labeler sees them.
    """
    groups = groups_of(same_of(range(len(shown)), shown))
    return [[LETTERS[place] for place in places] for places in groups]


def in_letters(ranking: Ranking) -> dict[str, Any]:
    """A stored ranking as its labeler said it, in the shape in which it is submitted."""
    letter = {completion: LETTERS[place] for place, completion in enumerate(ranking.order)}
    demonstration = getattr(ranking, "demonstration", None)
    return {
        "tiers": [[letter[completion] for completion in tier] for tier in ranking.tiers],
        "unacceptable": [
            {"label": letter[mark["completion"]], "reason": mark["reason"]}
            for mark in ranking.unacceptable
        ],
        "strengths": ranking.strengths,
        "ratings": {
            axis: {letter[int(completion)]: value for completion, value in values.items()}
            for axis, values in ranking.ratings.items()
        },
        "tags": ranking.tags,
        "rationale": ranking.rationale,
        "active_ms": ranking.active_ms,
        "demonstration": demonstration
        and {
            "text": demonstration.text,
            "from": letter.get(demonstration.started_from_id or 0),
        },
    }
