"""Why nothing waits: the true reason, the nearest first; and what "today" is."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from annotate.models import Claim, Project, Round, RoundState, Task, TaskState, User
from annotate.queries import empty
from annotate.services.claims import skip
from annotate.services.rankings import Said, submit_ranking
from tests import cast

READY = {"state": "ready", "message": "", "replicas": []}


@pytest.fixture(autouse=True)
def _inference_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(empty, "inference_state", lambda: READY)


def rank(labeler: User, project: Project) -> Claim:
    held = cast.claim(labeler, project)
    said = Said(tiers=[["A"], ["B"], ["C"], ["D"]])
    submit_ranking(claim_id=held.claim_id, labeler_id=labeler.pk, key=uuid4(), said=said)
    return Claim.objects.get(pk=held.claim_id)


def reason(client: APIClient) -> Any:
    """As the queue says it; the workbench must say the same."""
    (queue,) = client.get("/api/queues").json()["results"]
    answer = client.post("/api/projects/tone/claims", {"have": []}, format="json").json()
    assert answer["reason"] == queue["reason"]
    return queue["reason"]


def hold(labeler: User, project: Project, count: int) -> None:
    """The labeler takes so many tasks and keeps them."""
    have: list[int] = []
    for _ in range(count):
        have.append(cast.claim(labeler, project, have).claim_id)


@pytest.fixture
def half_written(project: Project, ada_user: User) -> Round:
    """Two tasks can be ranked, the model still writes the third."""
    cast.add_prompts(project, 3)
    round_ = cast.make_round(project, ada_user)
    last = round_.tasks.order_by("-position")[:1]
    Task.objects.filter(pk__in=last).update(state=TaskState.FAILED)
    cast.write_completions(round_)
    Task.objects.filter(pk__in=last).update(state=TaskState.PENDING)
    Round.objects.filter(pk=round_.pk).update(state=RoundState.GENERATING)
    return round_


def test_the_model_is_still_writing_while_others_hold_tasks(
    lena: APIClient, luis_user: User, project: Project, half_written: Round
) -> None:
    hold(luis_user, project, 2)
    found = reason(lena)
    assert found["code"] == "waiting_for_completions"
    assert "still writing" in found["message"]


def test_a_model_that_is_loading_comes_before_what_others_hold(
    lena: APIClient,
    luis_user: User,
    project: Project,
    half_written: Round,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hold(luis_user, project, 2)
    loading = {"state": "loading", "message": "The model is loading.", "replicas": []}
    monkeypatch.setattr(empty, "inference_state", lambda: loading)
    assert reason(lena)["code"] == "model_loading"


def test_writing_that_waits_for_other_labelers_says_so(
    lena: APIClient,
    lena_user: User,
    luis_user: User,
    project: Project,
    half_written: Round,
    settings: Settings,
) -> None:
    """What there is, Lena has passed on to others; of what Luis holds there is more to come."""
    settings.GENERATION_AHEAD, settings.GENERATION_AHEAD_EACH = 1, 1
    hold(luis_user, project, 1)
    passed = cast.claim(lena_user, project)
    skip(claim_id=passed.claim_id, labeler_id=lena_user.pk, reason="unsure")
    found = reason(lena)
    assert found["code"] == "waiting_for_completions"
    assert "as other labelers rank" in found["message"]


def test_all_is_written_and_others_have_the_rest(
    lena: APIClient, lena_user: User, luis_user: User, project: Project, round_one: Round
) -> None:
    hold(luis_user, project, 3)
    assert reason(lena)["code"] == "all_claimed"


def test_a_task_once_given_back_that_another_person_holds(
    lena: APIClient, lena_user: User, luis_user: User, project: Project, round_one: Round
) -> None:
    """Lena gave it back and somebody else skipped it: neither takes it from what Luis holds."""
    Round.objects.filter(pk=round_one.pk).update(state=RoundState.LABELING)
    for _ in range(2):
        rank(lena_user, project)
    (task,) = round_one.tasks.exclude(claims__labeler=lena_user)
    order = list(task.completions.values_list("pk", flat=True))
    now = timezone.now()
    settings = project.judging_settings.latest("pk")
    common = {"task": task, "project": project, "order": order, "settings": settings}
    common |= {"ended_at": now, "expires_at": now}
    Claim.objects.create(labeler=lena_user, state="released", **common)
    Claim.objects.create(labeler=cast.person("rita"), state="skipped", **common)
    cast.claim(luis_user, project)
    assert reason(lena)["code"] == "all_claimed"


def test_a_round_that_is_paused_keeps_what_is_left(
    lena: APIClient, lena_user: User, ada_user: User, project: Project, round_one: Round
) -> None:
    for _ in range(3):
        rank(lena_user, project)
    assert reason(lena)["code"] == "all_done"
    paused = cast.make_round(project, ada_user)
    cast.write_completions(paused)
    Round.objects.filter(pk=paused.pk).update(paused=True)
    assert reason(lena)["code"] == "paused"


# --- today ----------------------------------------------------------------------------------

# 00:30 of the first of December in Tokyo, 07:30 of the day before in Los Angeles.
NOW = datetime(2026, 11, 30, 15, 30, tzinfo=UTC)
ENDED = (
    datetime(2026, 11, 30, 15, 10, tzinfo=UTC),  # 00:10 in Tokyo, the new day
    datetime(2026, 11, 30, 14, 59, tzinfo=UTC),  # 23:59 in Tokyo, the old day
    datetime(2026, 11, 30, 7, 30, tzinfo=UTC),  # 23:30 of the 29th in Los Angeles
)


@pytest.mark.parametrize(
    ("zone", "today"), [("Asia/Tokyo", 1), ("America/Los_Angeles", 2), ("UTC", 3), ("", 3)]
)
def test_today_began_at_the_labelers_own_midnight(
    lena: APIClient,
    lena_user: User,
    project: Project,
    round_one: Round,
    monkeypatch: pytest.MonkeyPatch,
    zone: str,
    today: int,
) -> None:
    for ended in ENDED:
        claim = rank(lena_user, project)
        Claim.objects.filter(pk=claim.pk).update(ended_at=ended)
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    (queue,) = lena.get("/api/queues", {"zone": zone}).json()["results"]
    assert (queue["ranked_today"], queue["ranked_total"]) == (today, 3)
    monkeypatch.setattr(timezone, "now", lambda: NOW + timedelta(days=2))
    (queue,) = lena.get("/api/queues", {"zone": zone}).json()["results"]
    assert queue["ranked_today"] == 0


@pytest.mark.parametrize("zone", ["Asia/Tokio", "../../etc/passwd", "America", "UTC+9", "\u202e"])
def test_a_zone_that_there_is_not_is_named(lena: APIClient, project: Project, zone: str) -> None:
    answer = lena.get("/api/queues", {"zone": zone})
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == ["zone"]
    assert zone[:5] in answer.json()["error"]["message"] or zone == "\u202e"
