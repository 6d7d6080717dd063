"""The queue from the labeler's side: home, reasons why nothing is there, tasks that appear."""

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from annotate.models import Project, Role, Round, RoundState, User
from inference.models import Replica
from tests import cast
from tests.browser.conftest import StartRound, Visits
from tests.browser.screen import Workbench

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def expect_reason(page: Page, code: str, words: str) -> None:
    page.goto("/label/tone")
    empty = page.get_by_test_id("empty-queue")
    expect(empty).to_have_attribute("data-reason", code)
    expect(empty).to_contain_text(words)
    page.goto("/")
    expect(page.get_by_test_id("queue-tone").get_by_test_id("queue-reason")).to_have_attribute(
        "data-reason", code
    )


def test_every_reason_why_there_is_nothing(visits: Visits, project: Project) -> None:
    page = visits.page("lena")
    expect_reason(page, "no_round", "as soon as an admin starts one")

    cast.add_prompts(project, 1)
    round_ = cast.make_round(project, User.objects.get(username="ada"))
    Round.objects.update(state=RoundState.GENERATING)
    expect_reason(page, "model_loading", "Tasks appear by themselves")
    replica = Replica.objects.create(name="one", url="http://127.0.0.1:9", state="ready")
    Replica.objects.update(checked_at=timezone.now())
    expect_reason(page, "waiting_for_completions", "still writing responses")
    replica.delete()

    cast.write_completions(round_)
    Round.objects.update(paused=True)
    expect_reason(page, "paused", "when an admin resumes it")
    Round.objects.update(paused=False)
    held = cast.claim(User.objects.get(username="luis"), project)
    expect_reason(page, "all_claimed", "in hand")
    assert held.round_number == 1

    luis = visits.bench("luis")
    luis.rank("ABCD")
    luis.submit()
    luis.expect_sent(1)
    expect_reason(page, "all_done", "Thank you")


def test_a_task_appears_by_itself_when_a_round_starts(
    visits: Visits, start_round: StartRound
) -> None:
    bench = Workbench(visits.page("lena", "/label/tone"))
    expect(bench.page.get_by_test_id("empty-queue")).to_be_visible()
    start_round(1)
    bench.wait_for_task()
    bench.rank("A", "B", "C", "D")
    bench.submit()
    bench.expect_sent(1)


def test_home_shows_what_waits_and_what_was_done(visits: Visits, start_round: StartRound) -> None:
    round_ = start_round(3)
    round_.project.guidelines = "# Be kind"
    round_.project.save()
    page = visits.page("lena", "/")
    expect(page.get_by_test_id("queue-tone")).to_have_attribute("data-waiting", "3")
    page.get_by_test_id("guidelines-tone").click()
    expect(page.get_by_role("dialog").get_by_role("heading", name="Be kind")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_test_id("start-tone").click()
    bench = Workbench(page)
    bench.wait_for_task()
    bench.rank("A", "B", "C", "D")
    bench.submit()
    bench.expect_sent(1)
    page.get_by_role("link", name="Label", exact=True).first.click()
    expect(page.get_by_test_id("queue-tone")).to_have_attribute("data-waiting", "2")
    expect(page.get_by_test_id("recent-rankings")).to_contain_text("A›B›C›D")


def test_a_stranger_and_a_viewer_get_no_tasks(
    visits: Visits, project: Project, start_round: StartRound
) -> None:
    start_round(1)
    cast.person("mallory")
    cast.member(project, "vera", Role.VIEWER)
    mallory = visits.page("mallory", "/")
    expect(mallory.get_by_test_id("no-queues")).to_be_visible()
    mallory.goto("/label/tone")
    expect(mallory.get_by_test_id("not-found")).to_be_visible()
    vera = visits.page("vera", "/label/tone")
    expect(vera.get_by_test_id("failure")).to_be_visible()
    expect(vera.get_by_test_id("task")).to_have_count(0)
