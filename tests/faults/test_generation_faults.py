"""Whatever dies while a round is written, it is finished: nothing lost, nothing doubled."""

import pytest
from django.db import connection

from annotate.launch.child import Child
from annotate.models import Project, RoundState
from inference.queries import inference_state
from tests import cast
from tests.faults.breaking import (
    assert_whole,
    kill_and_restart,
    start_real_round,
    state,
    wait,
    written,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.vllm,
]
PROMPTS, K = 10, 4


@pytest.mark.parametrize("victim", ["generator", "vllm", "postgres", "valkey"])
def test_a_round_survives_a_kill_in_the_middle(
    victim: str,
    request: pytest.FixtureRequest,
    project: Project,
    worker: Child,
    generator: Child,
    beat: Child,
    vllm: Child,
) -> None:
    cast.add_prompts(project, PROMPTS)
    wait("the model", lambda: inference_state()["state"] == "ready")
    round_ = start_real_round(project, prompts=PROMPTS, k=K)
    wait("the first completions", lambda: written(round_) >= 4)
    before = completions()
    assert len(before) < PROMPTS * K, "too late to be in the middle"

    kill_and_restart(request.getfixturevalue(victim))

    wait("the end of writing", lambda: state(round_) == RoundState.LABELING)
    assert_whole(round_)
    after = completions()
    assert len(after) == PROMPTS * K
    assert before.items() <= after.items()


def completions() -> dict[int, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, text FROM annotate_completion")
        return dict(cursor.fetchall())
