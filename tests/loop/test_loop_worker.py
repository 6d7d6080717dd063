"""Beat and a real worker begin a turn that is due, and build its snapshot."""

from pathlib import Path
from typing import Any

import pytest

from annotate.launch.child import Child
from tests.faults.breaking import wait
from tests.loop.turning import Turning
from training.models import LoopStep, Stage
from training.services import loop

pytestmark = pytest.mark.django_db(transaction=True)


class Elsewhere:
    """The worker, a process of its own, stores where its own settings say."""

    STORAGES: dict[str, Any] = {}


def test_from_the_beat_to_the_first_run(worker: Child, beat: Child, tmp_path: Path) -> None:
    turning = Turning(tmp_path, Elsewhere())
    turning.policy(judge={"train": False, "values": {}}, gate={}, promotion="ask")

    wait(
        "the turn",
        lambda: LoopStep.objects.filter(project=turning.project, stage=Stage.TRAIN).exists(),
    )

    step = turning.last
    assert (step.created_by, step.number) == (None, 1)
    assert step.cause == "18 new comparisons; the policy asks for 6."
    assert "There is no reward model: nothing judges, no win rate is measured." in turning.texts()
    loop.cancel(step_id=step.pk, actor_id=turning.ada.pk)
