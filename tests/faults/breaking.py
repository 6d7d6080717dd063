"""Ways to break a running service, and to wait for what should come of it."""

import time
from collections.abc import Callable

from django.db import connections

from annotate.launch.child import Child
from annotate.models import Completion, Project, Round, Task, TaskState, User
from annotate.queries.prompts import PromptFilter
from annotate.services import rounds
from inference.models import ServedModel
from tests import services
from tests.patience import PATIENCE_S


def kill_and_restart(child: Child) -> None:
    """kill -9 of a process and all that it started; then the new start of the supervisor."""
    child.kill()
    child.start()
    services.wait_until_ready(child)
    connections.close_all()


def wait(what: str, until: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not until():
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE_S:.0f} s for {what}")
        time.sleep(0.1)


def start_real_round(project: Project, *, prompts: int, k: int) -> Round:
    """A round that the bundled model writes."""
    cast_model = ServedModel.objects.get(kind=ServedModel.Kind.BASE)
    ada = User.objects.get(username="ada")
    source = rounds.Source(served_model_id=cast_model.pk, max_tokens=24)
    round_ = rounds.create_round(
        project_id=project.pk,
        actor_id=ada.pk,
        prompts=PromptFilter(sample=prompts),
        k=k,
        overlap=1,
        sources=[source],
    )
    return rounds.start_round(round_id=round_.pk, actor_id=ada.pk)


def written(round_: Round) -> int:
    return Completion.objects.filter(task__round=round_).count()


def state(round_: Round) -> str:
    return Round.objects.values_list("state", flat=True).get(pk=round_.pk)


def assert_whole(round_: Round) -> None:
    """Every task has its K completions once, and as many slots as it needs."""
    tasks = Task.objects.filter(round=round_)
    assert not tasks.exclude(state=TaskState.READY).exists()
    for task in tasks:
        numbers = sorted(task.completions.values_list("number", flat=True))
        assert numbers == list(range(round_.k))
        assert task.slots.count() == task.required
