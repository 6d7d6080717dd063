"""How fast work goes, by the time that was spent on it: breaks and waits are nobody's pace."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from annotate.models import Completion, Ranking

LATEST = 1000  # completions that tell how fast models write now
TOO_FEW = 5  # completions or rankings tell nothing yet
RANKINGS = 100  # that tell how fast people are now


@dataclass(frozen=True, slots=True)
class Writing:
    """What all models together write in a second while they write."""

    completions_per_s: float
    tokens_per_s: float


def writing(completions: QuerySet[Completion]) -> Writing | None:
    """By the latest 1000 of them; None for fewer than 5, which tell nothing."""
    latest = completions.order_by("-pk").values_list("created_at", "latency_ms", "token_count")
    rows = list(latest[:LATEST])
    seconds = _covered((at - timedelta(milliseconds=spent), at) for at, spent, _ in rows)
    if len(rows) < TOO_FEW or not seconds:
        return None
    return Writing(len(rows) / seconds, sum(tokens for *_, tokens in rows) / seconds)


def seconds_a_ranking(rankings: QuerySet[Ranking]) -> float | None:
    """Of a labeler's attention, on average of the latest 100; None for fewer than 5.

    Scripts give rankings without a time, which tell nothing.
    """
    latest = rankings.filter(active_ms__gt=0).order_by("-pk").values_list("active_ms", flat=True)
    times = list(latest[:RANKINGS])
    return sum(times) / len(times) / 1000 if len(times) >= TOO_FEW else None


def _covered(spans: Iterable[tuple[datetime, datetime]]) -> float:
    """Seconds in which at least one of the spans was under way."""
    total = 0.0
    until: datetime | None = None
    for begin, end in sorted(spans):
        if until is None or begin > until:
            total += (end - begin).total_seconds()
            until = end
        elif end > until:
            total += (end - until).total_seconds()
            until = end
    return total
