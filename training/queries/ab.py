"""How people judged a blind A/B round."""

from typing import Any

from django.db.models import Count, Q, QuerySet

from annotate.models import Comparison, Round, RoundState, Slot, Task, TaskState
from training.loop.stopping import METHOD, Standing, decide, interval
from training.models import LoopStep


def standing(round_: Round) -> Standing:
    """The first source of the round is the candidate. Extras beside a filled place do not count."""
    candidate = round_.sources.order_by("pk").values_list("pk", flat=True)[0]
    found = Comparison.objects.filter(
        ranking__round=round_, ranking__current=True, ranking__slot__isnull=False
    ).aggregate(
        wins=Count("pk", filter=Q(tie=False, winner__source_id=candidate)),
        ties=Count("pk", filter=Q(tie=True)),
        losses=Count("pk", filter=Q(tie=False, loser__source_id=candidate)),
    )
    return Standing(**found)


def is_over(round_: Round) -> bool:
    """Whether no ranking will come any more: it was ended, or every place is filled."""
    if not round_.open:
        return True
    waiting = Task.objects.filter(round=round_, state=TaskState.PENDING)
    return not (waiting.exists() or Slot.objects.filter(round=round_, ranking=None).exists())


def figures(round_: Round, asked: dict[str, Any]) -> dict[str, Any]:
    """asked: the policy's `humans`. low, high: of the share of decided rankings it wins."""
    found = standing(round_)
    low, high = interval(found)
    decision = decide(
        found,
        limit=asked["rankings"],
        min_win_rate=asked["min_win_rate"],
        over=is_over(round_),
    )
    return {
        "wins": found.wins,
        "ties": found.ties,
        "losses": found.losses,
        "rankings": found.rankings,
        "limit": asked["rankings"],
        "win_rate": found.win_rate,
        "min_win_rate": asked["min_win_rate"],
        "low": low,
        "high": high,
        "method": METHOD,
        "passed": decision.passed if decision else None,
        "text": decision.text if decision else "",
    }


def ordinary_rounds(project_id: int) -> QuerySet[Round]:
    """Rounds that were started, are no A/B rounds and were not canceled, newest first."""
    compared = LoopStep.objects.filter(project_id=project_id, ab_round__isnull=False)
    started = Round.objects.filter(project_id=project_id, started_at__isnull=False)
    ordinary = started.exclude(state=RoundState.CANCELED).exclude(
        pk__in=compared.values("ab_round")
    )
    return ordinary.order_by("-number")
