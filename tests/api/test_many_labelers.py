"""More labelers than a round is written for at first; more projects than a page shows."""

import asyncio

import pytest
from rest_framework.test import APIClient

from annotate.models import (
    Claim,
    Membership,
    Project,
    Role,
    Round,
    RoundState,
    Task,
    TaskState,
    User,
)
from annotate.queries import empty
from annotate.services import generation_store as store
from annotate.services.projects import create_project
from tests import cast
from tests.annotate.scripted import Scripted

READY = {"state": "ready", "message": "", "replicas": []}
CLAIMS = "/api/projects/tone/claims"


@pytest.fixture(autouse=True)
def _inference_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(empty, "inference_state", lambda: READY)


def write_ahead(round_: Round) -> int:
    """All that the generation job would write now; how many tasks that was."""
    before = round_.tasks.filter(state=TaskState.READY).count()
    for task in store.next_orders(round_.pk, [], 10_000):
        for order in task.orders:
            answers = asyncio.run(
                Scripted().complete(order.model, task.messages, order.sampling, len(order.numbers))
            )
            store.keep(task.task_id, order, answers)
        store.open_task(task.task_id)
    return round_.tasks.filter(state=TaskState.READY).count() - before


def take_two(client: APIClient) -> int:
    """As the workbench: one on the desk and one ahead. How many there were."""
    have: list[int] = []
    for _ in range(2):
        answer = client.post(CLAIMS, {"have": have}, format="json").json()
        if answer["claim"] is None:
            break
        have.append(answer["claim"]["id"])
    return len(have)


def test_the_hundred_and_first_labeler_gets_a_task(project: Project, ada_user: User) -> None:
    """At the default settings: 200 ahead at first, which a hundred labelers take two by two."""
    cast.add_prompts(project, 600)
    round_ = cast.make_round(project, ada_user, k=2)
    assert write_ahead(round_) == 200
    clients = [cast.signed_in(cast.member(project, f"l{n}", Role.LABELER)) for n in range(101)]
    assert [take_two(client) for client in clients] == [2] * 100 + [0]

    last = clients[-1]
    reason = last.post(CLAIMS, {}, format="json").json()["reason"]
    assert reason["code"] == "waiting_for_completions"
    assert "still writing" in reason["message"]
    # Four for each of the hundred: all that there are.
    assert write_ahead(round_) == 400
    assert take_two(last) == 2


def test_all_is_written_and_in_hand(project: Project, ada_user: User) -> None:
    cast.add_prompts(project, 2)
    round_ = cast.make_round(project, ada_user, k=2)
    assert write_ahead(round_) == 2
    Round.objects.filter(pk=round_.pk).update(state=RoundState.LABELING)
    first, second = (cast.signed_in(cast.member(project, n, Role.LABELER)) for n in ("l1", "l2"))
    assert take_two(first) == 2
    reason = second.post(CLAIMS, {}, format="json").json()["reason"]
    assert reason["code"] == "all_claimed"
    assert not Task.objects.filter(state=TaskState.PENDING).exists()


def test_a_hundred_projects_do_not_hide_the_one_with_work(
    lena: APIClient, lena_user: User, project: Project, round_one: Round
) -> None:
    cast.claim(lena_user, project)
    Claim.objects.filter(labeler=lena_user).update(created_at="2020-01-01T00:00:00Z")
    owner = cast.person("owner")
    for number in range(101):
        other = create_project(
            actor_id=owner.pk, slug=f"other-{number}", name=f"! {number}", description="Crowd"
        )
        Membership.objects.create(project=other, user=lena_user, role=Role.LABELER)
    rows = lena.get("/api/queues").json()["results"]
    assert len(rows) == 100
    assert (rows[0]["project"]["slug"], rows[0]["waiting"]) == ("tone", 3)
    # What she joined first is there where she has not worked anywhere yet.
    Claim.objects.filter(labeler=lena_user).delete()
    rows = lena.get("/api/queues").json()["results"]
    assert rows[0]["project"]["slug"] == "tone"
