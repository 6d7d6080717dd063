"""Which tasks and rankings a snapshot is made of, and their content."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.db.models import Count, Exists, OuterRef, QuerySet

from annotate.models import Claim, ClaimState, Completion, Prompt, Ranking, Task
from annotate.ranking import Judgment, same_of, without_alike_pairs
from formats.tiers import ordered_alike
from training.snapshots.duplicates import text_of
from training.snapshots.rows import ChosenCompletion, ChosenRanking, ChosenTask
from training.snapshots.spec import SnapshotSpec

PROMPTS_AT_A_TIME = 500
_MADE = ("id", "text", "model_name", "adapter_hash", "finish_reason")


class ChosenKey(NamedTuple):
    task: int
    prompt: int


def rankings(project_id: int, spec: SnapshotSpec) -> QuerySet[Ranking]:
    """The current rankings that the spec chooses, whatever the overlap of their tasks."""
    found = Ranking.objects.filter(project_id=project_id, current=True)
    if spec.rounds:
        found = found.filter(round__number__in=spec.rounds)
    if spec.since:
        found = found.filter(created_at__gte=spec.since)
    if spec.until:
        found = found.filter(created_at__lt=spec.until)
    if spec.labelers:
        found = found.filter(labeler_id__in=spec.labelers)
    if spec.excluded_rounds:
        found = found.exclude(round__number__in=spec.excluded_rounds)
    if spec.excluded_labelers:
        found = found.exclude(labeler_id__in=spec.excluded_labelers)
    if not spec.flagged:
        flags = Claim.objects.filter(task_id=OuterRef("task_id"), state=ClaimState.FLAGGED)
        found = found.filter(~Exists(flags))
    return found


def tasks(project_id: int, spec: SnapshotSpec) -> list[ChosenKey]:
    """The tasks with enough of those rankings, in the order of rounds and positions."""
    found = (
        rankings(project_id, spec)
        .values("task_id", "task__prompt_id", "round__number", "task__position")
        .annotate(overlap=Count("id"))
        .filter(overlap__gte=spec.minimum_overlap)
        .order_by("round__number", "task__position")
    )
    return [ChosenKey(row["task_id"], row["task__prompt_id"]) for row in found]


def any_task(project_id: int, spec: SnapshotSpec) -> bool:
    """Whether there is anything to make a snapshot of."""
    found = rankings(project_id, spec).values("task_id").annotate(overlap=Count("id"))
    return found.filter(overlap__gte=spec.minimum_overlap).exists()


def prompts(project_id: int) -> Iterator[tuple[int, str, str]]:
    """Every prompt of the project: id, split by its hash, text to compare.

    All of them, so that a prompt's side does not depend on what else a snapshot holds.
    """
    last = 0
    every = Prompt.objects.filter(project_id=project_id).order_by("id")
    while found := every.filter(id__gt=last)[:PROMPTS_AT_A_TIME].values_list(
        "id", "split", "messages", "documents"
    ):
        for last, split, messages, documents in found:
            yield last, split, text_of(messages, documents)


def contents(project_id: int, spec: SnapshotSpec, task_ids: Sequence[int]) -> Iterator[ChosenTask]:
    """These tasks, in this order. One that lost rankings meanwhile, and has too few, is left out.

    task_ids: few enough to be held.
    """
    completions: dict[int, list[ChosenCompletion]] = defaultdict(list)
    asked: dict[int, int] = defaultdict(int)
    allowed: dict[int, int] = defaultdict(int)
    for task_id, prompt_tokens, max_tokens, *made in (
        Completion.objects.filter(task_id__in=task_ids)
        .order_by("task_id", "number")
        .values_list("task_id", "prompt_tokens", "sampling__max_tokens", *_MADE)
    ):
        completions[task_id].append(ChosenCompletion(*made))
        asked[task_id] = max(asked[task_id], prompt_tokens)
        allowed[task_id] = max(allowed[task_id], max_tokens or 0)
    same = {
        task_id: same_of([each.id for each in some], [each.written for each in some])
        for task_id, some in completions.items()
    }
    said = _said(project_id, spec, task_ids, same)
    found = Task.objects.select_related("prompt", "round").in_bulk(task_ids)
    for task_id in task_ids:
        task = found[task_id]
        if len(said[task_id]) >= spec.minimum_overlap:
            yield ChosenTask(
                task_id,
                task.prompt_id,
                task.round.number,
                task.prompt.messages,
                task.prompt.documents,
                completions[task_id],
                said[task_id],
                asked[task_id],
                allowed[task_id],
            )


def _said(
    project_id: int,
    spec: SnapshotSpec,
    task_ids: Sequence[int],
    same: Mapping[int, Mapping[int, int]],
) -> dict[int, list[ChosenRanking]]:
    """same: of each task, as of `same_of`."""
    said: dict[int, list[ChosenRanking]] = defaultdict(list)
    chosen = (
        rankings(project_id, spec)
        .filter(task_id__in=task_ids)
        .select_related("demonstration")
        .order_by("id")
    )
    for ranking in chosen:
        demonstration: Any = getattr(ranking, "demonstration", None)
        judgment = Judgment(
            tuple(map(tuple, ranking.tiers)),
            frozenset(mark["completion"] for mark in ranking.unacceptable),
            tuple(ranking.strengths),
        )
        alike = same[ranking.task_id]
        said[ranking.task_id].append(
            ChosenRanking(
                ranking.pk,
                ranking.labeler_id,
                without_alike_pairs(judgment, alike),
                demonstration.text if demonstration else "",
                ordered_alike(judgment.tiers, alike),
            )
        )
    return said
