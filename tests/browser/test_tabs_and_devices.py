"""One person in two tabs and on two devices, and two people after the same task."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from annotate.models import Claim, Project, Ranking, Slot, User
from tests import cast
from tests.browser.conftest import StartRound, Visits
from tests.browser.screen import Workbench, eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def test_two_tabs_get_different_tasks(visits: Visits, start_round: StartRound) -> None:
    start_round(4)
    first = visits.bench("lena")
    first.wait_for_next()
    second = Workbench(first.page.context.new_page())
    second.page.goto("/label/tone")
    second.wait_for_task()
    assert second.task_id != first.task_id
    assert second.conversation != first.conversation
    first.rank("A", "B", "C", "D")
    second.rank("D", "C", "B", "A")
    first.submit()
    second.submit()
    first.expect_sent(2)
    second.expect_waiting(0)
    assert Ranking.objects.filter(current=True).count() == 2


@pytest.mark.parametrize("outcome", ["keep", "earlier"])
def test_two_devices_with_the_same_task(
    visits: Visits, start_round: StartRound, outcome: str
) -> None:
    start_round(1)
    here, there = visits.bench("lena"), visits.bench("lena")
    assert here.task_id == there.task_id
    here.rank("A", "B", "C", "D")
    here.submit()
    here.expect_sent(1)
    there.rank("D", "C", "B", "A")
    there.press("Enter")
    dialog = there.page.get_by_test_id("dialog-replace")
    expect(dialog).to_contain_text("Question")
    there.page.get_by_test_id(f"replace-{outcome}").click()
    there.expect_sent(1 if outcome == "keep" else 2)
    expect(dialog).to_have_count(0)
    current = Ranking.objects.get(current=True)
    assert current.revision == (1 if outcome == "keep" else 2)
    best = current.order[0 if outcome == "keep" else 3]
    assert current.tiers[0] == [best]
    expect(there.page.get_by_test_id("outbox-count")).to_have_attribute("data-attention", "0")


def test_a_closed_replace_dialog_leaves_the_submit_in_the_outbox(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(1)
    here, there = visits.bench("lena"), visits.bench("lena")
    here.rank("A", "B", "C", "D")
    here.submit()
    here.expect_sent(1)
    there.rank("D", "C", "B", "A")
    there.press("Enter")
    expect(there.page.get_by_test_id("dialog-replace")).to_be_visible()
    there.press("Escape")
    there.page.get_by_test_id("outbox-open").click()
    there.page.get_by_role("button", name="Replace the earlier one").click()
    there.expect_sent(2)
    assert Ranking.objects.get(current=True).tiers[0] == [Ranking.objects.first().order[3]]  # type: ignore[union-attr]


def let_luis_take_over(project: Project) -> Claim:
    """Lena's lease runs out, and Luis gets her task."""
    past = timezone.now() - timedelta(seconds=5)
    Slot.objects.filter(ranking=None).update(lease_until=past)
    Claim.objects.filter(state="live").update(expires_at=past)
    held = cast.claim(User.objects.get(username="luis"), project)
    return Claim.objects.get(pk=held.claim_id)


def test_a_late_submit_is_kept_after_the_task_went_to_somebody_else(
    visits: Visits, project: Project, start_round: StartRound
) -> None:
    start_round(1)
    lena = visits.bench("lena")
    lena.press("c", "a")
    taken = let_luis_take_over(project)
    assert taken.task_id == Claim.objects.get(pk=int(lena.task_id or 0)).task_id
    lena.press("b")
    lena.submit()
    toast = lena.page.get_by_test_id("toast")
    expect(toast).to_contain_text("the ranking is kept as an extra")
    lena.expect_sent(1)
    assert not Slot.objects.filter(ranking=Ranking.objects.get()).exists()
    luis = visits.bench("luis")
    luis.rank("A", "B", "C", "D")
    luis.submit()
    luis.expect_sent(2)
    counted = Ranking.objects.get(labeler__username="luis")
    assert Slot.objects.filter(ranking=counted).exists()


def test_the_page_says_that_the_hold_has_ended(
    visits: Visits, project: Project, start_round: StartRound
) -> None:
    project.lease_seconds = 30  # renewed every ten seconds of work
    project.save()
    start_round(1)
    lena = visits.bench("lena")
    lena.press("c")
    before = lena.task_id
    let_luis_take_over(project)
    lena.page.mouse.move(300, 300)
    ended = lena.page.get_by_text("Your hold on this task has ended")
    expect(ended).to_be_visible()
    assert lena.task_id == before
    lena.expect_order("C")


def test_undo_in_one_tab_of_what_another_tab_sent(visits: Visits, start_round: StartRound) -> None:
    """Tabs share the outbox: whoever sends it, the tab that submitted can undo it."""
    start_round(4)
    first = visits.bench("lena")
    first.wait_for_next()
    second = Workbench(first.page.context.new_page())
    second.page.goto("/label/tone")
    second.wait_for_task()
    claim = first.task_id
    first.page.context.set_offline(True)
    first.rank("A", "B", "C", "D")
    first.submit()
    second.expect_waiting(1)
    first.page.context.set_offline(False)
    second.expect_sent(1)
    first.expect_waiting(0)
    first.press("u")
    first.expect_task(claim)
    eventually(first.page, lambda: not Ranking.objects.filter(current=True).exists())
