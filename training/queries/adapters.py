"""Trained adapters as people see them."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.core.files.base import File
from django.db.models import QuerySet

from annotate.errors import Conflict, NotFound
from inference.adapter_files import CARD
from inference.models import Adapter as ServedAdapter
from training import adapter_store
from training.evaluation.card import Data, Evaluated, Facts, card
from training.models import Evaluation, EvaluationState, Promotion, TrainedAdapter
from training.queries.standing import Stands, standings


def of_project(project_id: int) -> QuerySet[TrainedAdapter]:
    """A project's adapters."""
    found = TrainedAdapter.objects.filter(project_id=project_id)
    return found.select_related("project", "run__snapshot", "run__parent", "run__judge")


def one(project_id: int, number: int) -> TrainedAdapter:
    """Raises NotFound."""
    adapter = of_project(project_id).filter(number=number).first()
    if adapter is None:
        raise NotFound
    return adapter


def row(adapter: TrainedAdapter, found: Mapping[int, Stands]) -> dict[str, Any]:
    """What a list shows of it. found: `standings`, of this adapter at least."""
    run = adapter.run
    accuracy = (run.measured or {}).get("accuracy")
    return {
        "number": adapter.number,
        "run": run.number,
        "snapshot": run.snapshot.number,
        "method": run.method,
        "base": adapter.base,
        "parent": run.parent.number if run.parent else None,
        "judge": run.judge.number if run.judge else None,
        "content_hash": adapter.content_hash,
        "bytes": adapter.bytes,
        "standing": found[adapter.pk],
        "accuracy": accuracy,
        "created_at": adapter.created_at,
    }


def detail(adapter: TrainedAdapter) -> dict[str, Any]:
    """Everything about it but the content of its files."""
    served = ServedAdapter.objects.select_related("served_model").filter(
        content_hash=adapter.content_hash
    )
    as_served = served.first()
    return {
        **row(adapter, standings(adapter.project_id, [adapter.pk])),
        "served_as": str(as_served) if as_served else None,
        "files": files(adapter),
        "evaluations": [
            {
                "number": one.number,
                "state": one.state,
                "incumbent": one.incumbent.number if one.incumbent else None,
                "win_rate": (one.report or {}).get("win_rate"),
                "created_at": one.created_at,
            }
            for one in _evaluations(adapter)[:20]
        ],
        "promotions": [
            {
                "number": one.number,
                "kind": one.kind,
                "state": one.state,
                "created_at": one.created_at,
            }
            for one in Promotion.objects.filter(adapter=adapter)[:20]
        ],
    }


def files(adapter: TrainedAdapter) -> list[str]:
    """The names of its files, as its card in the storage has them; none when that is lost."""
    try:
        with adapter_store.opened(adapter.content_hash, CARD) as card_file:
            return [CARD, *orjson.loads(card_file.read())["files"]]
    except Conflict:
        return []


def opened(adapter: TrainedAdapter, name: str) -> File[bytes]:
    """One of its files. Raises NotFound for another name, Conflict when the storage lost it."""
    if name not in files(adapter):
        raise NotFound
    return adapter_store.opened(adapter.content_hash, name)


def card_text(adapter: TrainedAdapter) -> str:
    """The adapter card, as Markdown, with what is known of it now."""
    run = adapter.run
    snapshot = run.snapshot
    return card(
        Facts(
            project=adapter.project.slug,
            number=adapter.number,
            base=adapter.base,
            method=run.method,
            content_hash=adapter.content_hash,
            run=run.number,
            spec=run.spec,
            data=Data(
                snapshot.number, snapshot.content_hash, (snapshot.manifest or {}).get("counts", {})
            ),
            made=run.made or {},
            measured=run.measured or {},
            data_report=run.data_report,
            parent=f"adapter {run.parent.number}" if run.parent else "",
            judge=f"adapter {run.judge.number}" if run.judge else "",
            evaluations=[
                Evaluated(one.number, incumbent_in_words(one), one.report or {})
                for one in _evaluations(adapter).filter(state=EvaluationState.READY)[:20]
            ],
        )
    )


def incumbent_in_words(evaluation: Evaluation) -> str:
    incumbent = evaluation.incumbent
    return f"adapter {incumbent.number}" if incumbent else "the base itself"


def _evaluations(adapter: TrainedAdapter) -> QuerySet[Evaluation]:
    return adapter.evaluations.select_related("incumbent").order_by("-number")
