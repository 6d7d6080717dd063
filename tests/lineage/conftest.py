"""Ada's project, what Lena and Luis ranked in it, and what was trained on it."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from django.utils import timezone

from annotate.models import Completion, Project, Round, RoundState, TaskState, User
from annotate.queries.prompts import PromptFilter
from annotate.services import rounds
from inference.models import Adapter, ServedModel
from tests import cast
from tests.snapshots.conftest import (  # noqa: F401  (fixtures)
    _own_folder,
    ada,
    lena,
    luis,
    make,
    rank,
    round_one,
    tone,
)
from training.models import (
    Promotion,
    PromotionKind,
    PromotionState,
    RunState,
    Snapshot,
    TrainedAdapter,
    TrainingRun,
)
from training.services.runs import create_run

Train = Callable[..., TrainedAdapter]
BASE = "base-model"


@pytest.fixture(autouse=True)
def _trained_model(settings: Any) -> None:
    settings.TRAINING_MODEL = BASE


@pytest.fixture
def train(tone: Project, ada: User) -> Train:  # noqa: F811
    """A run that has ended well, and its adapter. parent, judge: adapters."""

    def trained(
        snapshot: Snapshot,
        method: str = "dpo",
        values: Any = None,
        parent: TrainedAdapter | None = None,
        judge: TrainedAdapter | None = None,
    ) -> TrainedAdapter:
        run = create_run(
            project_id=tone.pk,
            actor_id=ada.pk,
            snapshot_id=snapshot.pk,
            method=method,
            preset="135m-cpu",
            values=values,
            parent_id=parent.pk if parent else None,
            judge_id=judge.pk if judge else None,
        )
        return finish(run)

    return trained


def finish(run: TrainingRun) -> TrainedAdapter:
    """Let the run have made an adapter."""
    run.state, run.finished_at = RunState.FINISHED, timezone.now()
    run.save()
    return TrainedAdapter.objects.create(
        project=run.project,
        number=run.number,
        run=run,
        base=BASE,
        content_hash=sha256(str(run).encode()).hexdigest(),
        bytes=1000,
    )


def serve(adapter: TrainedAdapter) -> ServedModel:
    """The adapter as inference knows it."""
    name = f"{BASE}@{adapter.content_hash[:16]}"
    served = ServedModel.objects.create(name=name, kind=ServedModel.Kind.ADAPTER, parent=BASE)
    Adapter.objects.create(
        content_hash=adapter.content_hash, base=BASE, rank=8, served_model=served
    )
    return served


def promote(adapter: TrainedAdapter, *, by: User | None = None) -> Promotion:
    return Promotion.objects.create(
        project=adapter.project,
        number=Promotion.objects.filter(project=adapter.project).count() + 1,
        kind=PromotionKind.PROMOTE,
        adapter=adapter,
        state=PromotionState.DONE,
        finished_at=timezone.now(),
        created_by=by,
    )


def answered_by(
    project: Project, owner: User, *models: ServedModel, k: int = 4, text: str = "Answer {}"
) -> Round:
    """A round whose answers are written by these models in turn, 0 by the first, 1 by the next.

    text: with a place for the answer's number.
    """
    round_ = rounds.create_round(
        project_id=project.pk,
        actor_id=owner.pk,
        prompts=PromptFilter(),
        k=k,
        overlap=2,
        sources=[rounds.Source(served_model_id=model.pk) for model in models],
    )
    rounds.start_round(round_id=round_.pk, actor_id=owner.pk)
    sources = list(round_.sources.order_by("pk"))
    for task in round_.tasks.filter(state=TaskState.PENDING):
        for number in range(k):
            source = sources[number % len(sources)]
            model = models[number % len(models)]
            adapter = Adapter.objects.filter(served_model=model).first()
            Completion.objects.create(
                task=task,
                number=number,
                text=text.format(number),
                finish_reason="stop",
                token_count=8,
                prompt_tokens=5,
                source=source,
                served_model=model,
                model_name=model.name,
                adapter_hash=adapter.content_hash if adapter else "",
                sampling={},
                replica="scripted",
                latency_ms=10,
            )
        cast.open_task(task)
    Round.objects.filter(pk=round_.pk).update(state=RoundState.LABELING)
    round_.refresh_from_db()
    return round_
