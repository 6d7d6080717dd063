"""What a project's model is, was, and can be again; what the replicas serve of it."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from annotate.errors import NotFound
from annotate.models import Project
from annotate.queries.current_model import alias_of
from inference import queries as inference
from inference.models import Adapter, ServedModel
from training.models import Promotion, PromotionKind, TrainedAdapter
from training.models.promotion import IN_FORCE, UNFINISHED_PROMOTIONS
from training.queries.standing import Stands, standings

HISTORY = 1000
JOBS = 100
UNKNOWN: dict[str, Any] = {"adapter": None, "standing": None}


def of_project(project_id: int) -> QuerySet[Promotion]:
    """A project's promotions."""
    return Promotion.objects.filter(project_id=project_id).select_related(
        "adapter", "previous", "evaluation", "created_by"
    )


def one(project_id: int, number: int) -> Promotion:
    """Raises NotFound."""
    promotion = of_project(project_id).filter(number=number).first()
    if promotion is None:
        raise NotFound
    return promotion


def current(project_id: int) -> TrainedAdapter | None:
    """The adapter that the project's model is; None: the base."""
    last = _in_force(project_id).select_related("adapter").first()
    return last.adapter if last else None


def unfinished(project_id: int) -> Promotion | None:
    """The one that is on its way, if there is one."""
    return of_project(project_id).filter(state__in=UNFINISHED_PROMOTIONS).first()


def to_advance() -> list[int]:
    """Promotions whose jobs are to be sent again: after a crash, a lost message, a refusal."""
    waiting = Promotion.objects.filter(state__in=UNFINISHED_PROMOTIONS).order_by("pk")
    return list(waiting.values_list("pk", flat=True)[:JOBS])


def trail(project_id: int) -> list[int | None]:
    """Ids of the adapters that the project's model was and can go back to; None: the base.

    What it is now comes last. Going back takes the last step away, so that going back twice leads
    two steps back. One that was only brought to the servers again is no step.
    """
    columns = _in_force(project_id).values_list("kind", "adapter_id", "previous_id")
    steps = list(columns[:HISTORY])[::-1]
    found: list[int | None] = [steps[0][2] if steps else None]
    for kind, adapter_id, _ in steps:
        if kind == PromotionKind.ROLL_BACK and len(found) > 1:
            found.pop()
        elif adapter_id != found[-1]:
            found.append(adapter_id)
    return found


def _in_force(project_id: int) -> QuerySet[Promotion]:
    return Promotion.objects.filter(IN_FORCE, project_id=project_id).order_by("-number")


def row(promotion: Promotion, found: Mapping[int, Stands]) -> dict[str, Any]:
    """What a list shows of it: numbers instead of ids. found: `standings` of the project."""
    made_by = promotion.created_by
    return {
        "number": promotion.number,
        "kind": promotion.kind,
        "adapter": _number(promotion.adapter),
        "adapter_standing": found[promotion.adapter_id] if promotion.adapter_id else None,
        "previous": _number(promotion.previous),
        "evaluation": promotion.evaluation.number if promotion.evaluation else None,
        "state": promotion.state,
        "attempts": promotion.attempts,
        "reason": promotion.reason,
        "message": promotion.message,
        "stale": promotion.stale,
        "stale_tasks": promotion.stale_tasks,
        "created_by": made_by.username if made_by else None,
        "created_at": promotion.created_at,
        "flipped_at": promotion.flipped_at,
        "finished_at": promotion.finished_at,
    }


def _number(adapter: TrainedAdapter | None) -> int | None:
    return adapter.number if adapter else None


def serving(project: Project, *, addresses: bool) -> dict[str, Any]:
    """What the project's model means, and what each replica serves of it.

    addresses: for those who run the servers. Others see no names of servers, nor what is served
    for other projects; how many places that takes they see, since it is why one of theirs waits.
    """
    back = trail(project.pk)[-2:-1]
    before = TrainedAdapter.objects.filter(pk__in=[pk for pk in back if pk]).first()
    under_way = unfinished(project.pk)
    found = standings(project.pk)
    meant = _meant(project, found)
    return {
        "alias": alias_of(project.slug),
        "current": _number(current(project.pk)),
        "rolls_back_to": {"adapter": _number(before)} if back else None,
        "promotion": row(under_way, found) if under_way else None,
        "replicas": [
            _replica(replica, meant) if addresses else _nameless(number, replica, meant)
            for number, replica in enumerate(inference.inference_detail()["replicas"], 1)
        ],
    }


def _nameless(
    number: int, replica: inference.ReplicaDetail, meant: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    shown = _replica(replica, meant)
    return {
        **shown,
        "name": f"Server {number}",
        "message": shown["message"].replace(f" {replica['name']}", ""),
        "served": [each for each in shown["served"] if each["name"] in meant],
    }


def _replica(replica: inference.ReplicaDetail, meant: dict[str, dict[str, Any]]) -> dict[str, Any]:
    taken = sum(each["kind"] == ServedModel.Kind.ADAPTER for each in replica["served"])
    places = replica["places"]
    return {
        "name": replica["name"],
        "state": replica["state"],
        "message": replica["message"],
        "places": places,
        "taken": taken,
        "free": None if places is None else max(0, places - taken),
        "served": [
            {**each, **meant.get(each["name"], {**UNKNOWN, "role": "other"})}
            for each in replica["served"]
        ],
    }


def _meant(project: Project, stand: Mapping[int, Stands]) -> dict[str, dict[str, Any]]:
    """By served name: what it is, and the project's adapter with what that is to the project."""
    served = Adapter.objects.select_related("served_model")
    trained = {
        each.content_hash: {"adapter": each.number, "standing": stand[each.pk]}
        for each in TrainedAdapter.objects.filter(project=project)
    }
    bases = ServedModel.objects.filter(kind=ServedModel.Kind.BASE).values_list("name", flat=True)
    found: dict[str, dict[str, Any]] = {name: {**UNKNOWN, "role": "base"} for name in bases}
    # Those that whoever runs the servers started them with are for all projects.
    started_with = ServedModel.objects.filter(kind=ServedModel.Kind.ADAPTER, adapter=None)
    found |= {str(model): {**UNKNOWN, "role": "other"} for model in started_with}
    for adapter in served.filter(zero=True):
        found[str(adapter)] = {**UNKNOWN, "role": "zero"}
    for adapter in served.filter(content_hash__in=trained):
        found[str(adapter)] = {**trained[adapter.content_hash], "role": "adapter"}
    return found
