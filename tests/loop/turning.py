"""A project whose loop turns, and neighbours that do what a test says.

Snapshots are built for real; runs, evaluations and swaps are rows that a test lets end.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.utils import timezone

from annotate.models import Claim, Role, Round, Split, User
from annotate.queries.prompts import PromptFilter
from annotate.services import rounds
from annotate.services.projects import create_project
from annotate.services.rankings import Said, submit_ranking
from inference.models import Adapter, ModelAlias, ServedModel
from tests import cast
from training.evaluation.report import make_report
from training.models import (
    Evaluation,
    EvaluationState,
    LoopStep,
    Promotion,
    PromotionState,
    RunState,
    TrainedAdapter,
    TrainingRun,
)
from training.services import loop
from training.services.promotions import promote
from training.services.snapshots.building import build_snapshot

BASE = "smol"
QUICK = {"training": {"max_steps": 2}}
POLICY: dict[str, Any] = {
    "trigger": {"comparisons": 6},
    "run": {"values": QUICK},
    "judge": {"values": QUICK},
    "promotion": "automatic",
    "next_round": {"prompts": "fresh", "sample": 2, "k": 2},
}
WON = {
    "method": "wilson",
    "value": 0.7,
    "low": 0.6,
    "high": 0.8,
    "wins": 7,
    "ties": 0,
    "losses": 3,
    "prompts": 10,
}


def report(win_rate: float = 0.7, ratio: float = 1.1) -> dict[str, Any]:
    """What an evaluation found."""
    return {
        **make_report(None, [], None),
        "win_rate": {**WON, "value": win_rate},
        "length": {"candidate": 100 * ratio, "incumbent": 100.0, "ratio": ratio},
        "missing": {},
        "notes": ["The project has few held-out prompts."],
    }


class Turning:
    """Ada's project “tone”: five training prompts, three of them ranked, and two held out."""

    def __init__(self, folder: Path, settings: Any) -> None:
        backend = "django.core.files.storage.FileSystemStorage"
        here = {"BACKEND": backend, "OPTIONS": {"location": folder / "snapshots"}}
        settings.STORAGES = {**settings.STORAGES, "snapshots": here}
        settings.SNAPSHOT_DRAFTS = folder / "drafts"
        settings.TRAINING_MODEL = BASE
        self.ada = cast.person("ada")
        self.project = create_project(actor_id=self.ada.pk, slug="tone", name="Tone")
        self.lena = cast.member(self.project, "lena", Role.LABELER)
        self.base = cast.served_model(BASE)
        cast.add_prompts(self.project, 5)
        cast.add_prompts(self.project, 2, split=Split.HELD_OUT)
        self.round = self.start_round(PromptFilter(split=Split.TRAIN, sample=3))
        self.rank(self.round, 3)

    def start_round(self, prompts: PromptFilter, k: int = 4) -> Round:
        made = rounds.create_round(
            project_id=self.project.pk,
            actor_id=self.ada.pk,
            prompts=prompts,
            k=k,
            overlap=1,
            sources=[rounds.Source(follows=True)],
        )
        rounds.start_round(round_id=made.pk, actor_id=self.ada.pk)
        cast.write_completions(made)
        return made

    def rank(self, round_: Round, count: int, labeler: User | None = None) -> None:
        """The first answer of each task is the best, and so on."""
        for _ in range(count):
            held = cast.claim(labeler or self.lena, self.project)
            claim = Claim.objects.get(pk=held.claim_id)
            assert claim.task.round == round_
            numbers = dict(claim.task.completions.values_list("pk", "number"))
            self.submit(claim, sorted(claim.order, key=lambda key: numbers[key]))

    def submit(self, claim: Claim, best_first: Sequence[int], *, tie: bool = False) -> None:
        letters = [chr(ord("A") + claim.order.index(key)) for key in best_first]
        tiers = [letters] if tie else [[letter] for letter in letters]
        said = Said(tiers=tiers)
        submit_ranking(claim_id=claim.pk, labeler_id=claim.labeler_id, key=uuid4(), said=said)

    def compare(self, count: int, *, better: bool = True, tie: bool = False) -> None:
        """In the A/B round, Lena prefers the candidate, or does not."""
        round_ = self.last.ab_round
        assert round_ is not None
        candidate = round_.sources.order_by("pk")[0]
        for _ in range(count):
            held = cast.claim(self.lena, self.project)
            claim = Claim.objects.get(pk=held.claim_id)
            own = claim.task.completions.get(source=candidate).pk
            order = sorted(claim.order, key=lambda key: (key != own) == better)
            self.submit(claim, order, tie=tie)

    def policy(self, *, active: bool = True, **parts: Any) -> None:
        loop.set_policy(
            project_id=self.project.pk,
            actor_id=self.ada.pk,
            settings={**POLICY, **parts},
            active=active,
        )

    def begin(self) -> LoopStep:
        """A step by hand."""
        step = loop.begin_step(
            project_id=self.project.pk, actor_id=self.ada.pk, cause="ada asked for it."
        )
        return self.advanced(step)

    def advanced(self, step: LoopStep | None = None) -> LoopStep:
        """What the job makes of the project's step."""
        found = step or LoopStep.objects.filter(project=self.project).first()
        assert found is not None
        loop.advance(step_id=found.pk)
        return LoopStep.objects.get(pk=found.pk)

    def built(self) -> LoopStep:
        """The step's snapshot is built."""
        snapshot = self.last.snapshot
        assert snapshot is not None
        build_snapshot(snapshot_id=snapshot.pk)
        return self.advanced()

    def judged(self) -> LoopStep:
        """The judge is trained."""
        self.finish(self.last.judge_run)
        return self.advanced()

    def trained(self) -> LoopStep:
        self.finish(self.last.run)
        return self.advanced()

    def evaluated(self, found: dict[str, Any] | None = None) -> LoopStep:
        evaluation = self.last.evaluation
        assert evaluation is not None
        Evaluation.objects.filter(pk=evaluation.pk).update(
            state=EvaluationState.READY, report=found or report(), finished_at=timezone.now()
        )
        return self.advanced()

    def compared(self, prompts: int, texts: list[str] | None = None) -> LoopStep:
        """The A/B round is open, of prompts that were added for it; both sides have answered."""
        cast.add_prompts(self.project, prompts)
        step = self.evaluated()
        assert step.run is not None
        self.serve(step.run.adapter, "candidate")
        step = self.advanced()
        assert step.ab_round is not None
        cast.write_completions(step.ab_round, texts)
        return step

    def swapped(self) -> LoopStep:
        promotion = self.last.promotion
        assert promotion is not None
        self.swap(promotion)
        return self.advanced()

    @property
    def last(self) -> LoopStep:
        return LoopStep.objects.filter(project=self.project)[0]

    def finish(self, run: TrainingRun | None) -> TrainedAdapter:
        """The run ends well and leaves an adapter."""
        assert run is not None
        now = timezone.now()
        TrainingRun.objects.filter(pk=run.pk).update(
            state=RunState.FINISHED, started_at=now, finished_at=now
        )
        number = TrainedAdapter.objects.filter(project=self.project).count() + 1
        return TrainedAdapter.objects.create(
            project=self.project,
            number=number,
            run=run,
            base=BASE,
            content_hash=f"{run.pk:064x}",
            bytes=1,
        )

    def serve(self, adapter: TrainedAdapter, alias: str) -> ServedModel:
        """As a swap leaves it."""
        served, _ = ServedModel.objects.get_or_create(
            name=f"{BASE}@{adapter.content_hash[-16:]}",
            defaults={"kind": ServedModel.Kind.ADAPTER, "parent": BASE},
        )
        known, _ = Adapter.objects.get_or_create(
            content_hash=adapter.content_hash,
            defaults={
                "base": BASE,
                "rank": 8,
                "served_model": served,
                "state": Adapter.State.SERVING,
            },
        )
        ModelAlias.objects.update_or_create(
            name=f"{self.project.slug}/{alias}", defaults={"base": BASE, "current": known}
        )
        return served

    def swap(self, promotion: Promotion) -> None:
        """The promotion's job ends well."""
        if promotion.adapter is not None:
            self.serve(promotion.adapter, "current")
        Promotion.objects.filter(pk=promotion.pk).update(
            state=PromotionState.DONE, finished_at=timezone.now()
        )

    def promote_by_hand(self, adapter: TrainedAdapter) -> None:
        self.swap(promote(project_id=self.project.pk, actor_id=self.ada.pk, adapter_id=adapter.pk))

    def texts(self) -> list[str]:
        return list(self.last.events.values_list("text", flat=True))
