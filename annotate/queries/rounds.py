"""How a round is getting on, and what one would cost."""

import math
from datetime import timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.aggregates import Aggregate
from django.db.models.fields import FloatField
from django.utils import timezone

from annotate.errors import NotFound
from annotate.models import (
    Claim,
    ClaimState,
    Completion,
    Ranking,
    Round,
    RoundState,
    Slot,
    Task,
    TaskState,
)
from annotate.queries.pace import seconds_a_ranking, writing
from inference.queries import available_models, inference_state

ROWS = 50
RECENT = timedelta(minutes=2)


class Median(Aggregate):
    """PostgreSQL's median of a column."""

    function = "percentile_cont"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


def of_project(project_id: int) -> QuerySet[Round]:
    """A project's rounds, newest first."""
    rounds = Round.objects.filter(project_id=project_id).select_related("created_by")
    return rounds.prefetch_related("sources__served_model").order_by("-number")


def one(project_id: int, number: int) -> Round:
    """Raises NotFound."""
    round_ = of_project(project_id).filter(number=number).first()
    if round_ is None:
        raise NotFound
    return round_


def brief(round_: Round) -> dict[str, Any]:
    """The round without its figures."""
    return {
        "number": round_.number,
        "state": round_.state,
        "paused": round_.paused,
        "k": round_.k,
        "overlap": round_.overlap,
        "message": round_.message,
        "sources": [
            {
                "served_model": source.served_model_id,
                "name": source.served_model.name,
                "follows": source.follows,
                "weight": source.weight,
                "temperature": source.temperature,
                "top_p": source.top_p,
                "max_tokens": source.max_tokens,
            }
            for source in round_.sources.all()
        ],
        "created_by": round_.created_by.username,
        "created_at": round_.created_at,
        "started_at": round_.started_at,
        "closed_at": round_.closed_at,
    }


def row(round_: Round) -> dict[str, Any]:
    """One line of the list of rounds."""
    return {
        **brief(round_),
        "prompts": round_.tasks.count(),
        "generation": generation(round_),
        "labeling": labeling(round_),
    }


def monitor(round_: Round) -> dict[str, Any]:
    """All that an admin watches while a round runs."""
    return {
        **row(round_),
        "labelers": _labelers(round_),
        "flags": _flags(round_),
        "failures": _failures(round_),
    }


def generation(round_: Round) -> dict[str, Any]:
    """Tasks and completions so far, tokens a second of the last two minutes, what it waits for."""
    tasks = round_.tasks.aggregate(
        tasks=Count("pk"),
        ready=Count("pk", filter=Q(state=TaskState.READY)),
        failed=Count("pk", filter=Q(state=TaskState.FAILED)),
        stale=Count("pk", filter=Q(stale=True)),
    )
    since = timezone.now() - RECENT
    written = Completion.objects.filter(task__round=round_)
    completions = written.aggregate(count=Count("pk"), tokens=Sum("token_count", default=0))
    running = round_.state == RoundState.GENERATING
    pace = writing(written.filter(created_at__gte=since)) if running else None
    total = (tasks["tasks"] - tasks["failed"]) * round_.k
    missing = max(0, total - completions["count"])
    return {
        **tasks,
        "completions": completions["count"],
        "completions_total": total,
        "tokens": completions["tokens"],
        "tokens_per_s": round(pace.tokens_per_s, 1) if pace else None,
        "eta_s": math.ceil(missing / pace.completions_per_s) if pace and missing else None,
        "waiting": _waiting(round_, tasks) if running else None,
    }


def _waiting(round_: Round, tasks: dict[str, int]) -> str | None:
    if round_.paused:
        return "Paused. Resume the round to go on."
    inference = inference_state()
    if inference["state"] != "ready":
        return f"{inference['message']} Writing goes on by itself."
    writing = tasks["ready"] + tasks["failed"] < tasks["tasks"]
    recent = Completion.objects.filter(
        task__round=round_, created_at__gte=timezone.now() - timedelta(seconds=30)
    )
    if not writing or recent.exists():
        return None
    if away := _not_served(round_):
        return away
    if tasks["ready"]:
        return "Enough tasks are ready for the labelers. Writing goes on as they rank them."
    return None


def _not_served(round_: Round) -> str | None:
    asked = set(round_.sources.values_list("served_model_id", flat=True))
    away = [row for row in available_models() if row.id in asked and not row.available]
    return f"“{away[0].name}” does not write now. {away[0].message}" if away else None


def labeling(round_: Round) -> dict[str, Any]:
    """Rankings so far, how many an hour of work gives, and how much work is left at that."""
    slots = Slot.objects.filter(round=round_).aggregate(
        done=Count("pk", filter=Q(ranking__isnull=False)),
        claimed=Count(
            "pk", filter=Q(ranking=None, claim__isnull=False, lease_until__gte=timezone.now())
        ),
    )
    failed = round_.tasks.filter(state=TaskState.FAILED).count()
    required = (round_.tasks.count() - failed) * round_.overlap
    current = Ranking.objects.filter(round=round_, current=True)
    each = seconds_a_ranking(current)
    left = required - slots["done"]
    return {
        "required": required,
        "done": slots["done"],
        "extra": current.filter(slot=None).count(),
        "claimed": slots["claimed"],
        "per_hour": round(3600 / each, 1) if each else None,
        "work_left_s": math.ceil(left * each) if round_.open and each and left > 0 else None,
    }


def _labelers(round_: Round) -> list[dict[str, Any]]:
    claims = Claim.objects.filter(task__round=round_).values("labeler__username")
    counts = claims.annotate(
        ranked=Count("pk", filter=Q(state=ClaimState.RANKED)),
        skips=Count("pk", filter=Q(state=ClaimState.SKIPPED)),
        flags=Count("pk", filter=Q(state=ClaimState.FLAGGED)),
    ).order_by("-ranked", "labeler__username")[:ROWS]
    pace = dict(
        Ranking.objects.filter(round=round_, current=True)
        .values("labeler__username")
        .annotate(median=Median("active_ms"))
        .values_list("labeler__username", "median")
    )
    return [
        {
            "username": each["labeler__username"],
            "rankings": each["ranked"],
            "median_active_s": _seconds(pace.get(each["labeler__username"])),
            "skips": each["skips"],
            "flags": each["flags"],
        }
        for each in counts
    ]


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds / 1000, 1)


def _flags(round_: Round) -> list[dict[str, Any]]:
    flags = (
        Claim.objects.filter(task__round=round_, state=ClaimState.FLAGGED)
        .select_related("labeler", "task__prompt")
        .order_by("-ended_at")[:ROWS]
    )
    return [
        {
            "task": claim.task.position,
            "kind": claim.reason,
            "note": claim.note,
            "labeler": claim.labeler.username,
            "created_at": claim.ended_at,
            "prompt_excerpt": claim.task.prompt.excerpt,
        }
        for claim in flags
    ]


def _failures(round_: Round) -> list[dict[str, Any]]:
    failed = Task.objects.filter(round=round_, state=TaskState.FAILED).select_related("prompt")
    return [
        {
            "task": task.position,
            "reason": task.failure,
            "prompt_excerpt": task.prompt.excerpt,
        }
        for task in failed.order_by("position")[:ROWS]
    ]
