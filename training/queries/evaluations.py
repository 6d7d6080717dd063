"""Evaluations as people see them, and the jobs that they wait for."""

from datetime import timedelta
from typing import Any

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import JSONObject
from django.utils import timezone

from annotate.errors import NotFound
from annotate.models import Prompt, Split
from formats.completions import CUT_OFF
from training.evaluation.doubts import doubts
from training.evaluation.gate import Gate, Verdict, check
from training.evaluation.report import Answer, rewards
from training.models import (
    Evaluation,
    EvaluationAnswer,
    EvaluationState,
    LoopPolicy,
    Side,
    TrainedAdapter,
)

LOST_AFTER = timedelta(seconds=60)
LOOK_AGAIN_AFTER = timedelta(seconds=10)  # at a server that was away
REFUSED = "refused"  # finish_reason in place of an answer: no retry helps, and `text` says why


def of_project(project_id: int) -> QuerySet[Evaluation]:
    """A project's evaluations."""
    found = Evaluation.objects.filter(project_id=project_id)
    return found.select_related(
        "candidate", "incumbent", "judge", "snapshot", "created_by"
    ).annotate(
        answered=Count("answers"),
        judged=Count("answers", filter=Q(answers__reward__isnull=False)),
    )


def one(project_id: int, number: int) -> Evaluation:
    """Raises NotFound."""
    evaluation = of_project(project_id).filter(number=number).first()
    if evaluation is None:
        raise NotFound
    return evaluation


def held_out_prompts(project_id: int) -> QuerySet[Prompt]:
    """In the order of their content's hash, so that every evaluation takes the same ones."""
    prompts = Prompt.objects.filter(project_id=project_id, split=Split.HELD_OUT)
    return prompts.order_by("content_hash")


def to_answer() -> list[int]:
    """The oldest of each project that waits for answers: they take turns at the replicas."""
    waiting = (EvaluationState.QUEUED, EvaluationState.ANSWERING)
    oldest = Evaluation.objects.filter(state__in=waiting).order_by("project_id", "id")
    soon = timezone.now() - LOOK_AGAIN_AFTER
    return [
        evaluation.pk
        for evaluation in oldest.distinct("project_id")
        if evaluation.heartbeat_at is None or evaluation.heartbeat_at < soon
    ]


def to_judge() -> list[int]:
    """Those that wait for their judge, or whose judging lost its process."""
    nobody = Q(lease=None) | Q(heartbeat_at__lt=timezone.now() - LOST_AFTER)
    waiting = Evaluation.objects.filter(nobody, state=EvaluationState.JUDGING)
    return list(waiting.order_by("id").values_list("id", flat=True)[:100])


def row(evaluation: Evaluation) -> dict[str, Any]:
    """What a list shows of it."""
    return {
        "number": evaluation.number,
        "state": evaluation.state,
        "message": evaluation.message,
        "candidate": evaluation.candidate.number,
        "incumbent": _number(evaluation.incumbent),
        "judge": _number(evaluation.judge),
        "snapshot": evaluation.snapshot.number,
        "base": evaluation.candidate.base,
        "prompts": evaluation.prompts,
        "answered": getattr(evaluation, "answered", 0),
        "judged": getattr(evaluation, "judged", 0),
        "win_rate": (evaluation.report or {}).get("win_rate"),
        "created_by": evaluation.created_by.username,
        "created_at": evaluation.created_at,
        "finished_at": evaluation.finished_at,
    }


def detail(evaluation: Evaluation) -> dict[str, Any]:
    """Everything about it but the answers."""
    return {
        **row(evaluation),
        "settings": evaluation.settings,
        "report": evaluation.report,
        "verdicts": verdicts(evaluation),
        "warnings": warnings(evaluation),
    }


def warnings(evaluation: Evaluation) -> list[str]:
    """All that speaks against relying on it; none before its report."""
    if evaluation.report is None:
        return []
    return doubts(evaluation.report, evaluation.candidate.run.warnings)


def verdicts(evaluation: Evaluation) -> list[Verdict]:
    """By the gate of the project's policy as it is now; none without a report or a policy."""
    policy = LoopPolicy.objects.filter(project=evaluation.project_id).first()
    if evaluation.report is None or policy is None:
        return []
    return check(evaluation.report, Gate.model_validate(policy.settings.get("gate", {})))


_SHOWN = {name: F(name) for name in ("text", "tokens", "finish_reason", "adapter_hash", "reward")}


def answers(evaluation: Evaluation) -> QuerySet[EvaluationAnswer]:
    """The candidate's, each with the incumbent's to the same prompt as `other`."""
    other = EvaluationAnswer.objects.filter(
        evaluation=evaluation, prompt=OuterRef("prompt"), side=Side.INCUMBENT
    )
    return (
        EvaluationAnswer.objects.filter(evaluation=evaluation, side=Side.CANDIDATE)
        .select_related("prompt")
        .annotate(other=Subquery(other.values(json=JSONObject(**_SHOWN))[:1]))
    )


def answer_row(answer: EvaluationAnswer) -> dict[str, Any]:
    """One of `answers`: the prompt and what both sides answered."""
    candidate = {name: getattr(answer, name) for name in _SHOWN}
    incumbent: dict[str, Any] | None = getattr(answer, "other", None)
    return {
        "prompt": {
            "id": answer.prompt.pk,
            "messages": answer.prompt.messages,
            "documents": answer.prompt.documents,
        },
        "candidate": candidate,
        "incumbent": incumbent,
        "outcome": _outcome(candidate, incumbent) if incumbent else None,
    }


def _outcome(candidate: dict[str, Any], incumbent: dict[str, Any]) -> str | None:
    """As the win rate counts it."""
    ours, theirs = (
        Answer(side["tokens"], side["finish_reason"] == CUT_OFF, side["reward"], side["text"])
        for side in (candidate, incumbent)
    )
    judged = rewards(ours, theirs)
    if judged is None:
        return None
    return "tie" if judged[0] == judged[1] else "win" if judged[0] > judged[1] else "loss"


def _number(adapter: TrainedAdapter | None) -> int | None:
    return adapter.number if adapter else None
