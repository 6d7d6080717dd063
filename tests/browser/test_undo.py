"""Undo takes back what was done last: a submit, a skip or a flag."""

import pytest
from playwright.sync_api import expect

from annotate.models import AuditEvent, Claim, ClaimState, Project, Ranking, User
from tests import cast
from tests.browser.conftest import StartRound, Visits
from tests.browser.screen import Workbench, eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def decline(bench: Workbench, key: str) -> str:
    """Skip or flag the task on the desk; returns its claim."""
    claim = str(bench.task_id)
    name = {"s": "skip", "f": "flag"}[key]
    bench.press(key)
    bench.page.get_by_test_id(f"{name}-submit").click()
    expect(bench.page.get_by_test_id("task")).not_to_have_attribute("data-claim", claim)
    return claim


def expect_state(bench: Workbench, claim: str, state: ClaimState) -> None:
    eventually(bench.page, lambda: Claim.objects.get(pk=int(claim)).state == state)


def test_the_last_act_first_whatever_it_was(visits: Visits, start_round: StartRound) -> None:
    start_round(5)
    bench = visits.bench("lena")
    first = str(bench.task_id)
    bench.rank("A", "B", "C", "D")
    bench.submit()
    bench.wait_for_task()
    bench.rank("B", "C")  # something is entered before the skip
    bench.page.get_by_test_id("rationale").fill("not lost")
    bench.press("Escape")
    skipped = decline(bench, "s")
    expect_state(bench, skipped, ClaimState.SKIPPED)
    bench.wait_for_task()
    flagged = decline(bench, "f")
    expect_state(bench, flagged, ClaimState.FLAGGED)

    bench.press("u")
    bench.expect_task(flagged)
    expect_state(bench, flagged, ClaimState.LIVE)
    assert AuditEvent.objects.filter(verb="withdrew flag").count() == 1
    bench.press("u")
    bench.expect_task(skipped)
    expect_state(bench, skipped, ClaimState.LIVE)
    bench.expect_order("B", "C")
    expect(bench.page.get_by_test_id("rationale")).to_have_value("not lost")
    assert Ranking.objects.get().withdrawn_at is None  # the submit before it stands
    bench.press("u")
    bench.expect_task(first)
    eventually(bench.page, lambda: Ranking.objects.get().withdrawn_at is not None)
    bench.expect_order("A", "B", "C", "D")


def test_the_toast_takes_back_its_own_act(visits: Visits, start_round: StartRound) -> None:
    start_round(4)
    bench = visits.bench("lena")
    skipped = decline(bench, "s")
    toast = bench.page.get_by_test_id("toast").filter(has_text="Skipped")
    bench.wait_for_task()
    bench.rank("A", "B", "C", "D")
    bench.press("Enter")
    toast.get_by_role("button", name="Undo").click()
    bench.expect_task(skipped)
    expect(toast).to_have_count(0)
    bench.expect_sent(1)
    assert Ranking.objects.get().withdrawn_at is None
    bench.rank("D", "C", "B", "A")
    bench.submit()
    bench.expect_sent(2)


def test_unsent_acts_leave_no_trace(visits: Visits, start_round: StartRound) -> None:
    start_round(3)
    bench = visits.bench("lena")
    bench.wait_for_next()
    bench.page.context.set_offline(True)
    skipped = decline(bench, "s")
    bench.expect_waiting(1)
    bench.press("u")
    bench.expect_task(skipped)
    bench.expect_waiting(0)
    bench.page.context.set_offline(False)
    bench.rank("A", "B", "C", "D")
    bench.submit()
    bench.expect_sent(1)
    assert not Claim.objects.filter(state=ClaimState.SKIPPED).exists()
    assert Ranking.objects.get().claim_id == int(skipped)


def test_too_late_is_said_and_the_act_before_can_still_be_undone(
    visits: Visits, project: Project, start_round: StartRound
) -> None:
    start_round(4)
    bench = visits.bench("lena")
    first = str(bench.task_id)
    bench.rank("A", "B", "C", "D")
    bench.submit()
    bench.wait_for_task()
    skipped = decline(bench, "s")
    expect_state(bench, skipped, ClaimState.SKIPPED)
    luis = User.objects.get(username="luis")
    task = Claim.objects.get(pk=int(skipped)).task_id
    while Claim.objects.get(pk=cast.claim(luis, project).claim_id).task_id != task:
        pass
    bench.press("u")
    expect(bench.page.get_by_test_id("toast").last).to_contain_text("stays skipped")
    assert Claim.objects.get(pk=int(skipped)).state == ClaimState.SKIPPED
    bench.press("u")
    bench.expect_task(first)
