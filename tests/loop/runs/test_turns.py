"""Projects take turns at the trainer, whatever the number of their runs."""

from pathlib import Path

from annotate.models import User
from annotate.services.projects import create_project
from tests.loop.runs.conftest import Create
from tests.loop.runs.material import SMALL, ready_snapshot
from training.models import RunState, TrainingRun
from training.services import runs
from training.services.runs import leases
from training.services.runs.running import run_in_turn


def of_other(ada: User, folder: Path, count: int = 1) -> list[TrainingRun]:
    """Runs of a second project."""
    other = create_project(actor_id=ada.pk, slug="other", name="Other")
    snapshot = ready_snapshot(other, ada, folder)
    return [
        runs.create_run(
            project_id=other.pk,
            actor_id=ada.pk,
            snapshot_id=snapshot.pk,
            method="dpo",
            values=SMALL,
        )
        for _ in range(count)
    ]


def test_the_second_projects_run_is_next(create: Create, ada: User, tmp_path: Path) -> None:
    theirs = [create() for _ in range(3)]
    (mine,) = of_other(ada, tmp_path / "other")
    order: list[int] = []
    for _ in range(4):
        run_in_turn()
        finished = TrainingRun.objects.filter(state=RunState.FINISHED)
        (done,) = finished.exclude(pk__in=order).values_list("pk", flat=True)
        order.append(done)
    assert order == [theirs[0].pk, mine.pk, theirs[1].pk, theirs[2].pk]
    assert leases.in_turn() is None
    run_in_turn()  # nothing to do


def test_who_has_a_run_under_way_waits_for_who_has_none(
    create: Create, ada: User, tmp_path: Path
) -> None:
    """Two trainers: the second one goes to the second project, the third to the first again."""
    first, second = create(), create()
    mine, more = of_other(ada, tmp_path / "other", 2)
    for expected in (first, mine, second, more):
        assert leases.in_turn() == expected.pk
        assert leases.take(expected.pk) is not None
    assert leases.in_turn() is None
