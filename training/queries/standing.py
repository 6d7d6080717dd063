"""The one place that says what an adapter is to its project now, and who serves it."""

from collections.abc import Collection
from typing import TypedDict

from django.db.models import Count, Q

from inference.models import Serving
from training.models import (
    Evaluation,
    EvaluationState,
    LoopStep,
    Promotion,
    PromotionKind,
    Stage,
    Standing,
    StepState,
    TrainedAdapter,
)
from training.models.evaluation import UNFINISHED_EVALUATIONS
from training.models.loop import UNFINISHED_STEPS
from training.models.promotion import IN_FORCE, UNFINISHED_PROMOTIONS
from training.queries.servable import why_not


class Stands(TypedDict):
    """state: a `Standing`. replicas: how many answer by it now."""

    state: str
    replicas: int


def asks(step: LoopStep) -> bool:
    """Whether it waits for an admin to approve or reject its candidate."""
    return (
        step.state == StepState.RUNNING
        and step.stage == Stage.PROMOTE
        and step.promotion_id is None
        and step.settings.get("promotion") == "ask"
    )


def standings(project_id: int, adapters: Collection[int] | None = None) -> dict[int, Stands]:
    """Of the project's adapters, or of these (ids); as many statements for one as for all."""
    found = TrainedAdapter.objects.filter(project_id=project_id)
    if adapters is not None:
        found = found.filter(pk__in=adapters)
    rows = list(found.values_list("pk", "content_hash", "run__method", "run__spec__lora__r"))
    facts = _Facts(project_id)
    serving = _replicas([content_hash for _, content_hash, _, _ in rows])
    return {
        pk: {
            "state": Standing.JUDGE if method == "reward" else facts.state_of(pk, rank),
            "replicas": serving.get(content_hash, 0),
        }
        for pk, content_hash, method, rank in rows
    }


class _Facts:
    """What happened to the project's adapters, by their ids."""

    def __init__(self, project_id: int) -> None:
        promotions = Promotion.objects.filter(project_id=project_id)
        done = promotions.filter(IN_FORCE).order_by("number")
        trail = list(done.values_list("kind", "adapter_id", "previous_id"))
        self.current = trail[-1][1] if trail else None
        # By what it was last taken away.
        before = [trail[0][2], *(adapter for _, adapter, _ in trail)] if trail else []
        self.left = {was: kind for was, (kind, _, _) in zip(before, trail, strict=False)}
        unfinished = promotions.filter(state__in=UNFINISHED_PROMOTIONS)
        self.swapping = set(unfinished.values_list("adapter_id", flat=True))
        steps = LoopStep.objects.filter(project_id=project_id, run__adapter__isnull=False)
        self.waiting: set[int] = set()
        self.compared: set[int] = set()
        undecided = steps.filter(state__in=UNFINISHED_STEPS, promoted=None)
        for step in undecided.select_related("run__adapter"):
            kept = self.waiting if asks(step) else self.compared
            kept.add(_candidate(step))
        decided = steps.exclude(promoted=None).order_by("number")
        last = dict(decided.values_list("run__adapter", "promoted"))
        self.rejected = {adapter for adapter, promoted in last.items() if not promoted}
        evaluations = Evaluation.objects.filter(project_id=project_id)
        under_way = evaluations.filter(state__in=UNFINISHED_EVALUATIONS)
        self.compared |= set(under_way.values_list("candidate_id", flat=True))
        ready = evaluations.filter(state=EvaluationState.READY)
        self.evaluated = set(ready.values_list("candidate_id", flat=True))

    def state_of(self, adapter: int, rank: int | None) -> Standing:
        """The first that holds: what is to be done comes before what was."""
        left = self.left.get(adapter)
        holds = {
            Standing.CURRENT: adapter == self.current,
            Standing.SWAPPING: adapter in self.swapping,
            Standing.TOO_LARGE: bool(why_not(rank)),
            Standing.WAITING: adapter in self.waiting,
            Standing.CANDIDATE: adapter in self.compared,
            Standing.ROLLED_BACK: left == PromotionKind.ROLL_BACK,
            Standing.REPLACED: left == PromotionKind.PROMOTE,
            Standing.REJECTED: adapter in self.rejected,
            Standing.EVALUATED: adapter in self.evaluated,
        }
        return next((state for state, true in holds.items() if true), Standing.TRAINED)


def _candidate(step: LoopStep) -> int:
    assert step.run is not None  # noqa: S101
    return step.run.adapter.pk


def _replicas(hashes: Collection[str]) -> dict[str, int]:
    """By content: the configured replicas that list it and that it passed its test on."""
    here = Q(present=True, selftest=Serving.Selftest.PASSED, replica__enabled=True)
    found = Serving.objects.filter(here, served_model__adapter__content_hash__in=hashes)
    counted = found.values("served_model__adapter__content_hash").annotate(n=Count("replica"))
    return dict(counted.values_list("served_model__adapter__content_hash", "n"))
