"""Asking for an evaluation, giving up on it, trying again."""

from typing import Literal

from django.db import transaction
from django.db.models import Case, Q, When
from django.utils import timezone

from annotate.dispatch import enqueue
from annotate.errors import Conflict, Invalid, NotFound
from annotate.models import Project
from annotate.services import audit
from annotate.services.numbering import next_number
from inference.queries import why_too_long
from training.evaluation.settings import EvaluationSettings
from training.models import Evaluation, EvaluationState, Snapshot, SnapshotState, TrainedAdapter
from training.models.evaluation import UNFINISHED_EVALUATIONS
from training.queries import evaluations as reads
from training.queries.promotions import current
from training.queries.servable import why_not

SERVE = "training.serve_evaluation"
ANSWER = "training.answer_evaluation"
JUDGE = "training.judge_evaluation"


@transaction.atomic
def create_evaluation(
    *,
    project_id: int,
    actor_id: int,
    candidate_id: int,
    incumbent_id: int | Literal["current"] | None = "current",
    judge_id: int | Literal["newest"] | None = "newest",
    settings: EvaluationSettings | None = None,
    snapshot_id: int | None = None,
) -> Evaluation:
    """An evaluation that jobs carry out.

    incumbent_id: None is the base itself, "current" what the project's model means now. judge_id:
    None for no win rate, "newest" for the reward adapter that `newest_judge` finds. snapshot_id:
    the candidate's unless given. Raises Invalid for what cannot be compared.
    """
    project = Project.objects.select_for_update().get(pk=project_id)
    candidate = _adapter(project, candidate_id, "candidate")
    if candidate.scores:
        raise _wrong("candidate", "A reward model writes no answers. Choose another adapter.")
    chosen = settings or EvaluationSettings()
    if reason := why_too_long(chosen.max_tokens):
        raise _wrong("settings.max_tokens", reason)
    incumbent = _incumbent(project, candidate, incumbent_id)
    _need_servable("candidate", candidate)
    _need_servable("incumbent", incumbent)
    judge = _judge(project, candidate, judge_id)
    _need_held_out_prompts(project)
    evaluation = Evaluation.objects.create(
        project=project,
        number=next_number(Evaluation.objects.filter(project=project)),
        candidate=candidate,
        incumbent=incumbent,
        judge=judge,
        snapshot=_snapshot(project, candidate, snapshot_id),
        settings=chosen.model_dump(),
        created_by_id=actor_id,
    )
    audit.record(
        verb="created",
        of=evaluation,
        project_id=project_id,
        actor_id=actor_id,
        candidate=candidate.number,
        incumbent=incumbent.number if incumbent else None,
        judge=judge.number if judge else None,
    )
    enqueue(SERVE, evaluation_id=evaluation.pk)
    return evaluation


def _need_servable(field: str, adapter: TrainedAdapter | None) -> None:
    """Both sides answer on the inference servers."""
    if adapter is not None and (reason := why_not(adapter.rank)):
        raise _wrong(field, f"Adapter {adapter.number} cannot be evaluated: {reason}")


def newest_judge(candidate: TrainedAdapter) -> TrainedAdapter | None:
    """The reward adapter of the project that learned from the candidate's own snapshot, or else
    from the newest; one that the candidate was not itself rewarded by, where there is one.
    """
    rewarded_it, its_own = Q(pk=candidate.run.judge_id), Q(run__snapshot=candidate.run.snapshot_id)
    judges = TrainedAdapter.objects.filter(project=candidate.project_id, run__method="reward")
    return (
        judges.annotate(
            independent=Case(When(rewarded_it, then=0), default=1),
            on_its_data=Case(When(its_own, then=1), default=0),
        )
        .order_by("-independent", "-on_its_data", "-run__snapshot__number", "-number")
        .first()
    )


def _incumbent(
    project: Project, candidate: TrainedAdapter, wanted: int | Literal["current"] | None
) -> TrainedAdapter | None:
    if wanted is None:
        return None
    if wanted == "current":
        found = current(project.pk)
        # A promoted adapter that is evaluated once more is compared with the base.
        return None if found == candidate else found
    incumbent = _adapter(project, wanted, "incumbent")
    if incumbent == candidate:
        raise _wrong("incumbent", "An adapter cannot be compared with itself. Choose another.")
    if incumbent.scores:
        raise _wrong("incumbent", "A reward model writes no answers. Choose another adapter.")
    if incumbent.base != candidate.base:
        raise _wrong(
            "incumbent",
            f"Adapter {incumbent.number} is one of “{incumbent.base}”, the candidate of "
            f"“{candidate.base}”. Choose one of the same base.",
        )
    return incumbent


def _judge(
    project: Project, candidate: TrainedAdapter, wanted: int | Literal["newest"] | None
) -> TrainedAdapter | None:
    if wanted is None:
        return None
    if wanted == "newest":
        return newest_judge(candidate)
    judge = _adapter(project, wanted, "judge")
    if not judge.scores:
        raise _wrong("judge", f"Adapter {judge.number} is no reward model. Choose one that is.")
    return judge


def _snapshot(project: Project, candidate: TrainedAdapter, wanted: int | None) -> Snapshot:
    if wanted is None:
        return candidate.run.snapshot
    ready = Snapshot.objects.filter(project=project, pk=wanted, state=SnapshotState.READY)
    if (found := ready.first()) is None:
        raise _wrong("snapshot", "This project has no such snapshot that is ready.")
    return found


def _adapter(project: Project, adapter_id: int, field: str) -> TrainedAdapter:
    found = TrainedAdapter.objects.select_related("run__snapshot").filter(project=project)
    if (adapter := found.filter(pk=adapter_id).first()) is None:
        raise _wrong(field, "This project has no such adapter. Choose among its adapters.")
    return adapter


def _need_held_out_prompts(project: Project) -> None:
    if not reads.held_out_prompts(project.pk).exists():
        raise Invalid(
            "The project has no held-out prompts to compare answers on. Import more prompts: "
            "about one in ten is held out.",
            code="no_held_out_prompts",
        )


def _wrong(field: str, message: str) -> Invalid:
    return Invalid(message, fields={field: [message]})


@transaction.atomic
def cancel_evaluation(*, evaluation_id: int, actor_id: int) -> Evaluation:
    """Stop it; its answers are kept for a retry. Raises Conflict when it ended otherwise."""
    evaluation = _locked(evaluation_id)
    if evaluation.state == EvaluationState.CANCELED:
        return evaluation
    if evaluation.state not in UNFINISHED_EVALUATIONS:
        raise Conflict(f"The evaluation is {evaluation.state}; there is nothing to cancel.")
    evaluation.state, evaluation.finished_at = EvaluationState.CANCELED, timezone.now()
    evaluation.lease, evaluation.message = None, ""
    evaluation.save(update_fields=["state", "finished_at", "lease", "message"])
    _record("canceled", evaluation, actor_id)
    return evaluation


@transaction.atomic
def retry_evaluation(*, evaluation_id: int, actor_id: int) -> Evaluation:
    """Go on with what failed or was canceled. Raises Conflict when it is ready."""
    evaluation = _locked(evaluation_id)
    if evaluation.state in UNFINISHED_EVALUATIONS:
        return evaluation
    if evaluation.state == EvaluationState.READY:
        raise Conflict("The evaluation is ready. Create another one.")
    evaluation.state, evaluation.finished_at = EvaluationState.QUEUED, None
    evaluation.attempts, evaluation.message = 0, ""
    evaluation.save(update_fields=["state", "finished_at", "attempts", "message"])
    evaluation.answers.filter(finish_reason=reads.REFUSED).delete()
    _record("retried", evaluation, actor_id)
    enqueue(SERVE, evaluation_id=evaluation.pk)
    return evaluation


@transaction.atomic
def fail_evaluation(*, evaluation_id: int, message: str) -> None:
    """message: why, and what to do. Nothing happens to one that has ended."""
    evaluation = _locked(evaluation_id)
    if evaluation.state in UNFINISHED_EVALUATIONS:
        evaluation.state, evaluation.finished_at = EvaluationState.FAILED, timezone.now()
        evaluation.lease, evaluation.message = None, message[:2000]
        evaluation.save(update_fields=["state", "finished_at", "lease", "message"])
        _record("became failed", evaluation, None)


def _record(verb: str, evaluation: Evaluation, actor_id: int | None) -> None:
    audit.record(verb=verb, of=evaluation, project_id=evaluation.project_id, actor_id=actor_id)


def _locked(evaluation_id: int) -> Evaluation:
    evaluation = Evaluation.objects.select_for_update().filter(pk=evaluation_id).first()
    if evaluation is None:
        raise NotFound
    return evaluation
