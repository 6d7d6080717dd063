"""What the answering job reads and writes; every function is one short transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import close_old_connections, connection, transaction
from django.db.models import F
from django.utils import timezone

from annotate.dispatch import enqueue
from annotate.models import Prompt
from formats.documents import with_documents
from inference.completions import CompletionResult, Messages
from inference.locks import key_of
from training.models import Evaluation, EvaluationAnswer, EvaluationState, Side
from training.queries.evaluations import REFUSED, held_out_prompts
from training.services.evaluations.asking import JUDGE, fail_evaluation
from training.services.evaluations.reporting import finish_evaluation

ATTEMPTS = 5
WAITING = (EvaluationState.QUEUED, EvaluationState.ANSWERING)
BOTH = (Side.CANDIDATE, Side.INCUMBENT)


@dataclass(frozen=True, slots=True)
class Order:
    """An answer that is missing."""

    prompt_id: int
    side: Side
    messages: Messages


def lock(evaluation_id: int) -> bool:
    """Become the only one that answers for its project, as long as this connection lives.

    The aliases under which the two sides are served are the project's.
    """
    close_old_connections()
    key = key_of(lock_of(evaluation_id))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        return bool(cursor.fetchone()[0])


def lock_of(evaluation_id: int) -> str:
    project_id = Evaluation.objects.values_list("project_id", flat=True).get(pk=evaluation_id)
    return f"training.answering.{project_id}"


@transaction.atomic
def begin(evaluation_id: int) -> Evaluation | None:
    """The evaluation if it waits for answers; each begin without one gained is an attempt."""
    found = Evaluation.objects.select_for_update(of=("self",)).filter(state__in=WAITING)
    evaluation = (
        found.select_related("project", "candidate", "incumbent").filter(pk=evaluation_id).first()
    )
    if evaluation is None:
        return None
    if evaluation.attempts >= ATTEMPTS:
        fail_evaluation(
            evaluation_id=evaluation_id,
            message=f"No answer came in {ATTEMPTS} attempts. {evaluation.message} "
            "The worker's log says more. Then retry.",
        )
        return None
    evaluation.state, evaluation.heartbeat_at = EvaluationState.ANSWERING, timezone.now()
    evaluation.attempts += 1
    evaluation.prompts = len(_prompts(evaluation))
    evaluation.save(update_fields=["state", "heartbeat_at", "attempts", "prompts"])
    return evaluation


def answering(evaluation_id: int) -> Evaluation | None:
    """The evaluation if its sides were brought to the servers and answers are wanted."""
    found = Evaluation.objects.select_related("project", "candidate", "incumbent")
    return found.filter(pk=evaluation_id, state=EvaluationState.ANSWERING).first()


def is_wanted(evaluation_id: int) -> bool:
    return Evaluation.objects.filter(pk=evaluation_id, state=EvaluationState.ANSWERING).exists()


def missing(
    evaluation: Evaluation, under_way: Sequence[tuple[int, Side]], room: int
) -> list[Order]:
    """The next answers to ask for, both sides of a prompt together."""
    answers = EvaluationAnswer.objects.filter(evaluation=evaluation)
    have = {*answers.values_list("prompt_id", "side"), *under_way}
    wanted = [
        (prompt_id, side)
        for prompt_id in _prompts(evaluation)
        for side in BOTH
        if (prompt_id, side) not in have
    ][:room]
    prompts = Prompt.objects.in_bulk({prompt_id for prompt_id, _ in wanted})
    return [
        Order(key, side, with_documents(prompts[key].messages, prompts[key].documents))
        for key, side in wanted
    ]


def _prompts(evaluation: Evaluation) -> list[int]:
    """Those that there were when it was created: a later import does not change it."""
    found = held_out_prompts(evaluation.project_id).filter(created_at__lte=evaluation.created_at)
    return list(found.values_list("pk", flat=True)[: evaluation.settings["prompts"]])


@transaction.atomic
def keep(evaluation_id: int, order: Order, result: CompletionResult, adapter_hash: str) -> None:
    """A place that is filled already keeps what it has."""
    _add(
        evaluation_id,
        order,
        text=result.text.replace("\x00", "\N{REPLACEMENT CHARACTER}"),
        tokens=result.tokens,
        finish_reason=result.finish_reason,
        adapter_hash=adapter_hash,
    )


@transaction.atomic
def leave_out(evaluation_id: int, order: Order, why: str) -> None:
    """There is no answer and never will be, as to a prompt that is longer than the context."""
    _add(evaluation_id, order, text=why, tokens=0, finish_reason=REFUSED, adapter_hash="")


def _add(evaluation_id: int, order: Order, **values: str | int) -> None:
    answer = EvaluationAnswer(
        evaluation_id=evaluation_id, prompt_id=order.prompt_id, side=order.side, **values
    )
    EvaluationAnswer.objects.bulk_create([answer], ignore_conflicts=True)
    Evaluation.objects.filter(pk=evaluation_id).update(
        attempts=0, message="", heartbeat_at=timezone.now()
    )


def wait(evaluation_id: int, message: str, *, counts: bool) -> None:
    """Beat sends the job again. counts: as an attempt; an absent server is waited for for ever."""
    waiting = Evaluation.objects.filter(pk=evaluation_id, state=EvaluationState.ANSWERING)
    waiting.update(message=message[:2000], heartbeat_at=timezone.now())
    if not counts:
        waiting.filter(attempts__gt=0).update(attempts=F("attempts") - 1)


@transaction.atomic
def settle(evaluation_id: int) -> bool:
    """Go on to the judge, or to the report, when no answer is missing. True if it ended here."""
    found = Evaluation.objects.select_for_update().filter(state=EvaluationState.ANSWERING)
    evaluation = found.filter(pk=evaluation_id).first()
    if evaluation is None:
        return True
    if missing(evaluation, (), 1):
        return False
    refused = evaluation.answers.filter(finish_reason=REFUSED)
    if refused.count() and not evaluation.answers.exclude(finish_reason=REFUSED).exists():
        why = refused.values_list("text", flat=True)[0]
        fail_evaluation(evaluation_id=evaluation_id, message=f"No prompt was answered. {why}")
    elif evaluation.judge_id is None:
        finish_evaluation(evaluation)
    else:
        Evaluation.objects.filter(pk=evaluation_id).update(
            state=EvaluationState.JUDGING, message="", attempts=0, lease=None, heartbeat_at=None
        )
        enqueue(JUDGE, evaluation_id=evaluation_id)
    return True
