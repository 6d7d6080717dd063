"""The blind names under which labelers see responses: A for the first one shown, and so on."""

from typing import Any

from annotate.models import Ranking

LETTERS = "ABCDEFGHI"


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
