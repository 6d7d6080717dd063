"""What is entered survives: a reload, another device, a lost network, a lost claim."""

import pytest
from playwright.sync_api import expect

from annotate.models import Draft, Project
from tests.browser.conftest import StartRound, Visits
from tests.browser.screen import Workbench

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def talkative(project: Project) -> Project:
    project.axes = [{"key": "helpful", "name": "Helpful", "min": 1, "max": 5}]
    project.tags = ["wrong"]
    project.strength = True
    project.save()
    return project


def say_much(bench: Workbench) -> None:
    bench.press("c", "2", "=", "a", "b")
    bench.press("x")
    bench.page.get_by_test_id("reason-B").fill("rude")
    bench.choose("rating-helpful-D-2")
    bench.choose("tag-wrong")
    bench.page.get_by_test_id("rationale").fill("Because  of spaces ")
    bench.page.get_by_test_id("better-blank").click()
    bench.page.get_by_test_id("better-answer").fill("Better.")


def expect_all_said(bench: Workbench) -> None:
    bench.expect_order("AC", "D", "B", unacceptable="B")
    page = bench.page
    expect(page.get_by_test_id("reason-B")).to_have_value("rude")
    expect(page.get_by_test_id("rating-helpful-D-2")).to_be_checked()
    expect(page.get_by_test_id("tag-wrong")).to_be_checked()
    expect(page.get_by_test_id("rationale")).to_have_value("Because  of spaces ")
    expect(page.get_by_test_id("better-answer")).to_have_value("Better.")


def expect_draft_saved(bench: Workbench) -> None:
    state = bench.page.get_by_test_id("draft-state")
    expect(state).to_have_attribute("data-state", "saved")


def test_a_draft_survives_a_reload_and_goes_to_another_device(
    visits: Visits, talkative: Project, start_round: StartRound
) -> None:
    start_round(2)
    here = visits.bench("lena")
    say_much(here)
    here.page.reload()
    here.wait_for_task()
    expect_all_said(here)
    here.page.get_by_test_id("rationale").fill("Because  of spaces ")
    expect_draft_saved(here)
    there = visits.bench("lena")
    assert there.task_id == here.task_id
    assert there.conversation == here.conversation
    expect_all_said(there)
    there.submit()
    there.expect_sent(1)
    assert not Draft.objects.exists()


def test_a_draft_made_offline_is_there_after_a_reload(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(1)
    bench = visits.bench("lena")
    bench.page.context.set_offline(True)
    bench.press("d", "b")
    state = bench.page.get_by_test_id("draft-state")
    expect(state).to_have_attribute("data-state", "device")
    assert not Draft.objects.exists()
    bench.page.context.set_offline(False)
    bench.page.reload()
    bench.wait_for_task()
    bench.expect_order("D", "B")


def test_leaving_the_page_keeps_a_touched_task_and_gives_an_untouched_one_back(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(2)
    lena = visits.bench("lena")
    lena.wait_for_next()
    touched = lena.conversation
    lena.press("a")
    lena.page.get_by_role("link", name="My rankings").first.click()
    expect(lena.page.get_by_role("heading", name="My rankings")).to_be_visible()
    luis = visits.bench("luis")
    assert luis.conversation != touched
    lena.page.goto("/label/tone")
    lena.wait_for_task()
    assert lena.conversation == touched
    lena.expect_order("A")
