"""What the generation job reads and writes; every function is one short transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotate.models import Completion, Round, RoundSource, RoundState, Task, TaskState
from annotate.queries.ahead import ahead_of
from annotate.services import rounds
from annotate.services.sampling_plan import sources_of
from formats.documents import with_documents
from inference.completions import CompletionResult, Messages, Sampling


@dataclass(frozen=True, slots=True)
class Order:
    """Completions of one task that are sampled alike and so asked for in one request."""

    model: str
    served_model_id: int
    source_id: int
    sampling: Sampling
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TaskOrder:
    """A task and the completions that it still misses."""

    task_id: int
    messages: Messages
    orders: tuple[Order, ...]


def wanted(round_id: int) -> int | None:
    """The round's K if it is to be written at present."""
    running = Round.objects.filter(pk=round_id, state=RoundState.GENERATING, paused=False)
    return running.values_list("k", flat=True).first()


def next_orders(round_id: int, in_the_making: Sequence[int], room: int) -> list[TaskOrder]:
    """The next tasks to write, at most `room`, and no more than the labelers need ahead."""
    room = min(room, ahead_of(round_id).missing - len(in_the_making))
    if room <= 0:
        return []
    tasks = list(
        Task.objects.filter(round_id=round_id, state=TaskState.PENDING)
        .exclude(pk__in=in_the_making)
        .select_related("prompt", "round")
        .order_by("position")[:room]
    )
    sources = list(RoundSource.objects.filter(round_id=round_id).select_related("served_model"))
    have = _numbers_stored(tasks)
    return [_order(task, sources, have.get(task.pk, set())) for task in tasks]


def _numbers_stored(tasks: Sequence[Task]) -> dict[int, set[int]]:
    stored: dict[int, set[int]] = {}
    pairs = Completion.objects.filter(task__in=tasks).values_list("task_id", "number")
    for task_id, number in pairs:
        stored.setdefault(task_id, set()).add(number)
    return stored


def _order(task: Task, sources: Sequence[RoundSource], have: set[int]) -> TaskOrder:
    plan = sources_of(task.position, task.round.k, [source.weight for source in sources])
    missing = sorted((plan[number], number) for number in range(task.round.k) if number not in have)
    orders = []
    for index, group in groupby(missing, key=lambda pair: pair[0]):
        source = sources[index]
        sampling = Sampling(source.temperature, source.top_p, source.max_tokens)
        numbers = tuple(number for _, number in group)
        orders += [
            Order(
                model=source.served_model.name,
                served_model_id=source.served_model_id,
                source_id=source.pk,
                sampling=sampling,
                numbers=together,
            )
            for together in _requests(numbers, sampling)
        ]
    return TaskOrder(
        task.pk, with_documents(task.prompt.messages, task.prompt.documents), tuple(orders)
    )


def _requests(numbers: tuple[int, ...], sampling: Sampling) -> list[tuple[int, ...]]:
    return [(number,) for number in numbers] if sampling.greedy else [numbers]


def is_current(order: Order) -> bool:
    """Whether its source still has the order's model: one that follows may have another now."""
    return RoundSource.objects.filter(
        pk=order.source_id, served_model_id=order.served_model_id
    ).exists()


@transaction.atomic
def keep(task_id: int, order: Order, results: Sequence[CompletionResult]) -> None:
    """Store completions; a place that is filled already keeps what it has.

    Nothing is stored once the source has another model, which writes them anew.
    """
    source = RoundSource.objects.select_for_update(no_key=True).get(pk=order.source_id)
    if source.served_model_id != order.served_model_id:
        return
    sampling = {
        "temperature": order.sampling.temperature,
        "top_p": order.sampling.top_p,
        "max_tokens": order.sampling.max_tokens,
        "n": len(order.numbers),
    }
    Completion.objects.bulk_create(
        [
            _completion(task_id, number, order, sampling, result)
            for number, result in zip(order.numbers, results, strict=True)
        ],
        ignore_conflicts=True,
    )


def _completion(
    task_id: int, number: int, order: Order, sampling: dict[str, Any], result: CompletionResult
) -> Completion:
    return Completion(
        task_id=task_id,
        number=number,
        text=result.text.replace("\x00", "\N{REPLACEMENT CHARACTER}"),
        finish_reason=result.finish_reason,
        token_count=result.tokens,
        prompt_tokens=result.prompt_tokens,
        logprob_sum=result.logprob_sum,
        source_id=order.source_id,
        served_model_id=order.served_model_id,
        model_name=result.model,
        adapter_hash=result.adapter_hash,
        sampling=sampling,
        chat_template_hash=result.chat_template_hash,
        replica=result.replica,
        latency_ms=round(result.latency_s * 1000),
    )


@transaction.atomic
def open_task(task_id: int) -> None:
    """Hand a complete task to the labelers; an incomplete one keeps waiting."""
    tasks = Task.objects.select_for_update(of=("self",)).select_related("round")
    task = tasks.get(pk=task_id)
    if task.state != TaskState.PENDING or task.completions.count() < task.round.k:
        return
    task.state, task.ready_at = TaskState.READY, timezone.now()
    task.save(update_fields=["state", "ready_at"])
    rounds.open_for_labeling(task)


def fail(task_id: int, reason: str) -> None:
    """Give a task up, with a reason for people; an admin may retry it."""
    Task.objects.filter(pk=task_id, state=TaskState.PENDING).update(
        state=TaskState.FAILED, failure=reason[:2000]
    )


def settle(round_id: int) -> None:
    """Let the round go on to labeling when nothing waits any more."""
    rounds.settle_round(round_id=round_id)
