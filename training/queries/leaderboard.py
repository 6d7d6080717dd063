"""Which model people like best: the ratings by all comparisons between two models' answers."""

from collections import Counter
from typing import Any

from django.core.cache import cache
from django.db import connection
from django.db.models import Count, Max, Q

from annotate.models import Ranking
from annotate.ranking.bradley_terry import RESAMPLES, Standing, Tally, standings
from inference.models import Adapter, ServedModel
from training.models import TrainedAdapter

METHOD = (
    "Bradley-Terry by all comparisons between answers of different models, ties as half a win of "
    "both; each model has won once and lost once more, against an average one. On the scale of "
    "Elo, with the base at 1000. Intervals: 95%, of the lead over the base, by the Bayesian "
    "bootstrap over tasks."
)
VERSION = 2  # changes whenever the same rankings would give other figures
MOST_MODELS = 64
KEPT_S = 7 * 24 * 3600
HASH_DIGITS, HASH_SHOWN = 64, 16

# A model is the content of its adapter, by whatever name it was served, or else the base's id.
_COMPARED = """
WITH compared AS (
    SELECT r.task_id,
           COALESCE(NULLIF(w.adapter_hash, ''), w.served_model_id::text) AS winner,
           COALESCE(NULLIF(l.adapter_hash, ''), l.served_model_id::text) AS loser,
           c.tie
      FROM annotate_ranking r
      JOIN annotate_comparison c ON c.ranking_id = r.id
      JOIN annotate_completion w ON w.id = c.winner_id
      JOIN annotate_completion l ON l.id = c.loser_id
     WHERE r.project_id = %s AND r.current
)
SELECT task_id, winner, loser, tie, count(*) FROM compared WHERE winner <> loser
 GROUP BY task_id, winner, loser, tie
"""


def leaderboard(project_id: int) -> dict[str, Any]:
    """Best first. Computed anew only after a ranking was given, revised or withdrawn."""
    found = _kept(project_id)
    hashes = [row["adapter_hash"] for row in found["models"]]
    adapters = TrainedAdapter.objects.filter(project_id=project_id, content_hash__in=hashes)
    # Of several with the same content, the first.
    numbers = dict(adapters.order_by("-number").values_list("content_hash", "number"))
    models = [{**row, "adapter": numbers.get(row["adapter_hash"])} for row in found["models"]]
    return {**found, "models": models, "resamples": RESAMPLES, "method": METHOD}


def _kept(project_id: int) -> dict[str, Any]:
    # Rankings are only added and withdrawn, so these three tell whether any was.
    state = Ranking.objects.filter(project_id=project_id).aggregate(
        last=Max("id"), current=Count("id", filter=Q(current=True)), withdrawn=Max("withdrawn_at")
    )
    at = state["withdrawn"].timestamp() if state["withdrawn"] else 0
    key = f"leaderboard:{VERSION}:{project_id}:{state['last']}:{state['current']}:{at}"
    found: dict[str, Any] | None = cache.get(key)
    if found is None:
        found = _computed(project_id)
        cache.set(key, found, KEPT_S)
    return found


def _computed(project_id: int) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(_COMPARED, [project_id])
        rows = cursor.fetchall()
    compared: Counter[str] = Counter()
    for _, winner, loser, _, count in rows:
        compared.update({winner: count, loser: count})
    # Those compared most, when there are too many for a page.
    keys = sorted(compared, key=lambda key: (-compared[key], key))[:MOST_MODELS]
    place = {key: number for number, key in enumerate(keys)}
    tallies = [
        Tally(task, place[winner], place[loser], tie, count)
        for task, winner, loser, tie, count in rows
        if winner in place and loser in place
    ]
    named, anchor = _named(keys)
    models = [
        {**row, **_figures(one), "anchor": at == anchor}
        for at, (row, one) in enumerate(
            zip(named, standings(tallies, len(keys), anchor=anchor), strict=True)
        )
    ]
    return {
        "models": sorted(models, key=lambda row: (-row["rating"], row["model"])),
        "comparisons": sum(tally.times for tally in tallies),
        "tasks": len({tally.task for tally in tallies}),
        "left_out": len(compared) - len(keys),
    }


def _named(keys: list[str]) -> tuple[list[dict[str, Any]], int | None]:
    """Served name and content of each, and the place of the first base.

    keys: the hash of an adapter's content, 64 digits, or else the id of what was served.
    """
    hashes = {key for key in keys if len(key) == HASH_DIGITS}
    adapters = dict(
        Adapter.objects.filter(content_hash__in=hashes).values_list(
            "content_hash", "served_model__name"
        )
    )
    others = ServedModel.objects.in_bulk([int(key) for key in keys if key not in hashes])
    named: list[dict[str, Any]] = []
    anchor = None
    for at, key in enumerate(keys):
        if key in hashes:
            name = adapters.get(key, key[:HASH_SHOWN])
            named.append({"model": name, "adapter_hash": key})
            continue
        served = others[int(key)]
        named.append({"model": served.name, "adapter_hash": ""})
        if anchor is None and served.kind == ServedModel.Kind.BASE:
            anchor = at
    return named, anchor


def _figures(one: Standing) -> dict[str, Any]:
    return {
        "rating": round(one.rating, 1),
        "low": round(one.low, 1),
        "high": round(one.high, 1),
        "comparisons": one.wins + one.ties + one.losses,
        "wins": one.wins,
        "ties": one.ties,
        "losses": one.losses,
    }
