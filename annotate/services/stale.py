"""What becomes of open rounds when the project's model changes.

Sources that follow the model are given the new one, and a policy decides about the tasks that the
former model wrote and nobody has ranked or in hand. Whatever somebody has had in hand stays as it
is: a ranking of it may still be on its way.
"""

from collections import Counter
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet

from annotate.dispatch import enqueue
from annotate.models import (
    OPEN_STATES,
    Claim,
    ClaimState,
    Completion,
    Draft,
    Project,
    Ranking,
    Round,
    RoundSource,
    RoundState,
    Slot,
    Stale,
    Task,
    TaskState,
)
from annotate.services import audit


@transaction.atomic
def follow(*, project_id: int, served_model_id: int, stale: Stale, actor_id: int | None) -> int:
    """Let everything still to be written in the project's open rounds come from its new model.

    Returns how many tasks of the former model were marked stale or are written anew.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project_id)
    concerned = Round.objects.filter(
        project_id=project_id, state__in=(*OPEN_STATES, RoundState.FAILED)
    )
    rounds = list(concerned.select_for_update(no_key=True).order_by("pk"))
    return sum(_follow(round_, served_model_id, stale, actor_id) for round_ in rounds)


def _follow(round_: Round, served_model_id: int, stale: Stale, actor_id: int | None) -> int:
    followers = RoundSource.objects.filter(round=round_, follows=True)
    sources = list(followers.select_for_update(no_key=True).order_by("pk"))
    if all(source.served_model_id == served_model_id for source in sources):
        return 0
    followers.update(served_model_id=served_model_id)
    former = Completion.objects.filter(source__in=sources).exclude(served_model_id=served_model_id)
    dropped = _write_anew(round_, former) if stale == Stale.REGENERATE else 0
    marked = 0 if stale == Stale.KEEP else _mark(round_, former)
    audit.record(
        verb="followed the model",
        of=round_,
        project_id=round_.project_id,
        actor_id=actor_id,
        served_model=served_model_id,
        marked=marked,
        written_anew=dropped,
    )
    if round_.state == RoundState.GENERATING:
        enqueue("annotate.generate_round", round_id=round_.pk)
    return marked + dropped


def _mark(round_: Round, former: QuerySet[Completion]) -> int:
    """Labelers get them last. What the new model wrote, before it was another's turn, is fresh."""
    tasks = Task.objects.filter(round=round_, state=TaskState.READY)
    of_former = Exists(former.filter(task=OuterRef("pk")))
    _set_stale(tasks.filter(~of_former, stale=True), stale=False)
    waiting = tasks.filter(
        of_former,
        ~Exists(Ranking.objects.filter(task=OuterRef("pk"))),
        ~Exists(Claim.objects.filter(task=OuterRef("pk"), state=ClaimState.LIVE)),
    )
    return _set_stale(waiting, stale=True)


def _set_stale(tasks: QuerySet[Task], *, stale: bool) -> int:
    """Of those whose slots nobody is just taking."""
    free = _free(list(tasks.values_list("pk", flat=True)))
    Slot.objects.filter(task__in=free).update(stale=stale)
    return Task.objects.filter(pk__in=free).update(stale=stale)


def _write_anew(round_: Round, former: QuerySet[Completion]) -> int:
    """Drop what the former model wrote where nobody has had the task in hand."""
    untouched = Task.objects.filter(
        Exists(former.filter(task=OuterRef("pk"))),
        round=round_,
        state__in=(TaskState.PENDING, TaskState.READY),
    )
    # The writer opens a task under this lock.
    locked = untouched.select_for_update(no_key=True).order_by("pk")
    ids = _free(list(locked.values_list("pk", flat=True)))
    had = {
        *Claim.objects.filter(task__in=ids).values_list("task", flat=True),
        *Ranking.objects.filter(task__in=ids).values_list("task", flat=True),
        *Draft.objects.filter(task__in=ids).values_list("task", flat=True),
    }
    ids = [task_id for task_id in ids if task_id not in had]
    Slot.objects.filter(task__in=ids).delete()
    former.filter(task__in=ids).delete()
    Task.objects.filter(pk__in=ids).update(state=TaskState.PENDING, ready_at=None, stale=False)
    if ids and round_.state == RoundState.LABELING:
        round_.state = RoundState.GENERATING
        round_.save(update_fields=["state"])
    return len(ids)


def _free(ids: Sequence[int]) -> list[int]:
    """Those tasks all of whose slots could be locked: a labeler who is taking one is first.

    The locks hold until the transaction ends; what was claimed before them is seen afterwards.
    """
    of_tasks = Slot.objects.filter(task__in=ids)
    mine = of_tasks.select_for_update(skip_locked=True).order_by("pk")
    locked = Counter(mine.values_list("task", flat=True))
    counted = of_tasks.values("task").annotate(slots=Count("pk"))
    slots = dict(counted.values_list("task", "slots"))
    return [task_id for task_id in ids if slots.get(task_id, 0) == locked[task_id]]
