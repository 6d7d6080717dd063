"""Pace and time left go by the time that was worked, not by the clock on the wall."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from annotate.models import Completion, Project, Round, RoundState, Task, User
from annotate.services.rankings import Said, submit_ranking
from tests import cast

ESTIMATE = "/api/projects/tone/rounds/estimate"


def round_of(project: Project, owner: User, prompts: int) -> Round:
    cast.add_prompts(project, prompts)
    round_ = cast.make_round(project, owner)
    cast.write_completions(round_)
    return round_


def rank(labeler: User, project: Project, count: int, *, active_ms: int) -> None:
    for _ in range(count):
        held = cast.claim(labeler, project)
        said = Said(tiers=[["A"], ["B"], ["C"], ["D"]], active_ms=active_ms)
        submit_ranking(claim_id=held.claim_id, labeler_id=labeler.pk, key=uuid4(), said=said)


def labeling(ada: APIClient) -> Any:
    return ada.get("/api/projects/tone/rounds/1").json()["labeling"]


def test_ten_a_minute_are_six_hundred_an_hour(
    ada: APIClient, ada_user: User, lena_user: User, project: Project
) -> None:
    round_of(project, ada_user, 24)
    rank(lena_user, project, 20, active_ms=6000)
    found = labeling(ada)
    assert (found["per_hour"], found["work_left_s"]) == (600, 24)


def test_too_little_work_tells_no_pace(
    ada: APIClient, ada_user: User, lena_user: User, project: Project
) -> None:
    round_of(project, ada_user, 12)
    rank(lena_user, project, 4, active_ms=6000)
    assert (labeling(ada)["per_hour"], labeling(ada)["work_left_s"]) == (None, None)
    # A script gives no time, which is not infinitely fast.
    rank(lena_user, project, 6, active_ms=0)
    assert (labeling(ada)["per_hour"], labeling(ada)["work_left_s"]) == (None, None)
    rank(lena_user, project, 1, active_ms=6000)
    assert labeling(ada)["per_hour"] == 600


def write(tasks: Sequence[Task], *, ago: float, latency: float) -> None:
    """Their four completions of 8 tokens each were written within `latency` seconds, then."""
    at = timezone.now() - timedelta(seconds=ago)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timezone, "now", lambda: at)
        for task in tasks:
            source = task.round.sources.get()
            Completion.objects.bulk_create(
                Completion(
                    task=task,
                    number=number,
                    text=f"Answer {number}",
                    finish_reason="stop",
                    token_count=8,
                    prompt_tokens=5,
                    source=source,
                    served_model=source.served_model,
                    model_name=source.served_model.name,
                    sampling={},
                    replica="scripted",
                    latency_ms=latency * 1000,
                )
                for number in range(4)
            )


def unwritten(project: Project, owner: User, prompts: int) -> tuple[Round, list[Task]]:
    """A round that began 30 hours ago, and its tasks."""
    cast.add_prompts(project, prompts)
    round_ = cast.make_round(project, owner)
    started = timezone.now() - timedelta(hours=30)
    Round.objects.filter(pk=round_.pk).update(state=RoundState.GENERATING, started_at=started)
    return round_, list(round_.tasks.order_by("position"))


def test_a_model_is_as_fast_as_while_it_wrote(
    ada: APIClient, ada_user: User, project: Project
) -> None:
    """Two tasks in the last ten seconds, 64 tokens, after a long wait; one is left."""
    _, tasks = unwritten(project, ada_user, 4)
    write(tasks[:1], ago=100_000, latency=1)
    write(tasks[1:3], ago=5, latency=10)
    generation = ada.get("/api/projects/tone/rounds/1").json()["generation"]
    assert generation["tokens_per_s"] == 6.4
    assert generation["eta_s"] == 5  # four answers, at 0.8 a second


def test_an_estimate_leaves_out_the_wait_for_labelers(
    ada: APIClient, ada_user: User, project: Project
) -> None:
    """Two stretches of ten seconds, a day apart: 128 tokens in twenty seconds."""
    round_, tasks = unwritten(project, ada_user, 4)
    write(tasks[:2], ago=100_000, latency=10)
    write(tasks[2:], ago=10, latency=10)
    source = round_.sources.get()
    body = {
        "prompts": {"sample": None, "split": "train"},
        "k": 4,
        "overlap": 1,
        "sources": [{"served_model": source.served_model_id, "max_tokens": 8}],
    }
    found = ada.post(ESTIMATE, body, format="json").json()
    assert (found["tokens"], found["generation_seconds"]) == (128, 20)
