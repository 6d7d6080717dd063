"""What trained, evaluated and promoted models leave in the database, as the console shows it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone

from annotate.models import Project, Prompt, User
from inference.models import Adapter, ModelAlias, Replica, ServedModel, Serving
from tests import cast
from tests.loop.trained import COUNTS, ESTIMATE, MEASURED, make_adapter
from training.evaluation.report import Answer, Judge, make_report
from training.evaluation.settings import EvaluationSettings
from training.loop.policy import LoopSettings
from training.models import (
    Evaluation,
    EvaluationAnswer,
    EvaluationState,
    LoopEvent,
    LoopPolicy,
    LoopStep,
    Promotion,
    PromotionKind,
    PromotionState,
    Side,
    Snapshot,
    SnapshotState,
    Stage,
    TrainedAdapter,
)
from training.snapshots.spec import SnapshotSpec

BASE = "base-model"
STRENGTHS = [
    {"strength": float(n), "accuracy": {**ESTIMATE, "value": 0.6 + n / 10}} for n in (1, 3)
]


class Trained:
    """Adapter 1 judges; 2 is the project's model, promoted on evaluation 1; 3 was just made."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.folder = project, folder
        self.ada = User.objects.get(username="ada")
        self.prompts = cast.add_prompts(project, 12, split="held_out")
        self.snapshot = Snapshot.objects.create(
            project=project,
            number=1,
            state=SnapshotState.READY,
            spec=SnapshotSpec().as_dict(),
            content_hash="5" * 64,
            manifest={"counts": COUNTS},
            created_by=self.ada,
            # What a test lets people rank after this belongs to it, too.
            finished_at=timezone.now() + timedelta(minutes=10),
        )
        self.judge = self.adapter(method="reward")
        self.first = self.adapter()
        self.second = self.adapter()
        self.evaluation = self.evaluated(self.first, None)
        self.promotion = self.promoted(self.first, self.evaluation)
        self.serve()

    def adapter(self, **values: Any) -> TrainedAdapter:
        measured = {
            **MEASURED,
            "accuracy_by_strength": STRENGTHS,
            "agreement": {
                "pairwise": {**ESTIMATE, "value": 0.82, "high": 0.9},
                "reason": None,
                "others_majority_accuracy": {**ESTIMATE, "value": 0.84, "high": 0.91},
                "others_reason": None,
            },
        }
        values = {"snapshot": self.snapshot, "measured": measured, **values}
        return make_adapter(self.project, self.ada, self.folder, base=BASE, **values)

    def evaluated(
        self,
        candidate: TrainedAdapter,
        incumbent: TrainedAdapter | None,
        state: EvaluationState = EvaluationState.READY,
        **values: Any,
    ) -> Evaluation:
        """Of 12 prompts the candidate wins 9."""
        over = state in (EvaluationState.READY, EvaluationState.FAILED, EvaluationState.CANCELED)
        evaluation = Evaluation.objects.create(
            project=self.project,
            number=self.project.evaluations.count() + 1,
            candidate=candidate,
            incumbent=incumbent,
            judge=self.judge,
            snapshot=self.snapshot,
            settings=EvaluationSettings().model_dump(),
            state=state,
            prompts=len(self.prompts),
            report=self.report() if state == EvaluationState.READY else None,
            created_by=self.ada,
            finished_at=timezone.now() if over else None,
            **values,
        )
        if state == EvaluationState.READY:
            for number, prompt in enumerate(self.prompts):
                self.answer(evaluation, prompt, number)
        return evaluation

    def report(self) -> dict[str, Any]:
        pairs = [
            (Answer(20 + n, False, float(n)), Answer(18, n == 3, 2.5))
            for n in range(len(self.prompts))
        ]
        measured = self.first.run.measured or {}
        return make_report(measured, pairs, Judge(1, ESTIMATE), notes=["One note."])

    @staticmethod
    def answer(evaluation: Evaluation, prompt: Prompt, number: int) -> None:
        for side, reward in ((Side.CANDIDATE, float(number)), (Side.INCUMBENT, 2.5)):
            EvaluationAnswer.objects.create(
                evaluation=evaluation,
                prompt=prompt,
                side=side,
                text=f"The {side} says **so** to {prompt.excerpt}",
                tokens=20,
                finish_reason="length" if number == 3 else "stop",
                reward=reward,
            )

    def promoted(
        self,
        adapter: TrainedAdapter,
        evaluation: Evaluation | None = None,
        previous: TrainedAdapter | None = None,
    ) -> Promotion:
        return Promotion.objects.create(
            project=self.project,
            number=self.project.promotions.count() + 1,
            kind=PromotionKind.PROMOTE,
            adapter=adapter,
            previous=previous,
            evaluation=evaluation,
            state=PromotionState.DONE,
            reason="Better at being brief.",
            created_by=self.ada,
            finished_at=timezone.now(),
        )

    def serve(self) -> None:
        """The base and adapter 2 on one replica."""
        replica = Replica.objects.create(
            name="vllm-1", url="http://127.0.0.1:1", state=Replica.State.READY, places=2
        )
        name = f"{BASE}@{self.first.content_hash[:16]}"
        served = ServedModel.objects.create(name=name, kind="adapter", parent=BASE)
        for model in (cast.served_model(BASE), served):
            Serving.objects.create(
                replica=replica, served_model=model, selftest="passed", tested_at=timezone.now()
            )
        adapter = Adapter.objects.create(
            content_hash=self.first.content_hash,
            base=BASE,
            rank=8,
            state=Adapter.State.SERVING,
            served_model=served,
        )
        ModelAlias.objects.create(name=f"{self.project.slug}/current", base=BASE, current=adapter)

    def policy(self, **values: Any) -> LoopPolicy:
        settings = LoopSettings.model_validate(values).as_json()
        return LoopPolicy.objects.create(
            project=self.project, active=True, settings=settings, owner=self.ada
        )

    def step(self, stage: Stage, *events: tuple[Stage, str], **values: Any) -> LoopStep:
        """A step that is in a stage, with what happened before, a minute apart."""
        settings = LoopPolicy.objects.get(project=self.project).settings
        step = LoopStep.objects.create(
            project=self.project,
            number=self.project.loop_steps.count() + 1,
            stage=stage,
            cause="512 new comparisons; the policy asks for 500.",
            settings=settings,
            **values,
        )
        began = timezone.now() - timedelta(minutes=len(events) + 3)
        LoopStep.objects.filter(pk=step.pk).update(created_at=began)
        for position, (of, text) in enumerate(events):
            event = LoopEvent.objects.create(step=step, position=position, stage=of, text=text)
            at = began + timedelta(minutes=position + 1)
            LoopEvent.objects.filter(pk=event.pk).update(at=at)
        step.refresh_from_db()
        return step
