"""Signing in and out, and a session that ends in the middle of the work."""

import pytest
from django.contrib.sessions.models import Session
from django.core.cache import cache
from playwright.sync_api import Page, expect

from annotate.models import Project, Ranking
from tests import cast
from tests.browser.conftest import StartRound, Visits
from tests.browser.screen import Workbench, sign_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def end_all_sessions() -> None:
    Session.objects.all().delete()
    cache.clear()


def sign_in_here(page: Page, username: str) -> None:
    page.get_by_test_id("sign-in-username").fill(username)
    page.get_by_test_id("sign-in-password").fill(cast.PASSWORD)
    page.get_by_test_id("sign-in-submit").click()
    expect(page.get_by_test_id("account-menu")).to_be_visible()


def test_sign_in_refusal_and_sign_out(visits: Visits, project: Project) -> None:
    page = visits.page(path="/rankings")
    page.get_by_test_id("sign-in-username").fill("lena")
    page.get_by_test_id("sign-in-password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("sign-in-problem")).to_be_visible()
    expect(page.get_by_test_id("sign-in-username")).to_have_value("lena")
    sign_in(page, "lena", "/rankings")
    expect(page.get_by_role("heading", name="My rankings")).to_be_visible()
    page.get_by_test_id("account-menu").click()
    page.get_by_test_id("sign-out").click()
    expect(page.get_by_test_id("sign-in-form")).to_be_visible()
    page.goto("/")
    expect(page.get_by_test_id("sign-in-form")).to_be_visible()


def test_a_session_that_ends_during_a_submit(visits: Visits, start_round: StartRound) -> None:
    start_round(2)
    bench = visits.bench("lena")
    bench.wait_for_next()
    bench.rank("C", "A", "B", "D")
    end_all_sessions()
    bench.press("Enter")
    form = bench.page.get_by_test_id("sign-in-form")
    expect(form).to_contain_text("nothing you entered is lost")
    assert not Ranking.objects.exists()
    sign_in_here(bench.page, "lena")
    bench.wait_for_task()
    assert bench.page.url.endswith("/label/tone")
    bench.expect_sent(1)
    assert Ranking.objects.get().tiers[0] == [Ranking.objects.get().order[2]]


def test_a_draft_survives_the_end_of_a_session(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    bench = visits.bench("lena")
    end_all_sessions()
    bench.press("d", "a")
    expect(bench.page.get_by_test_id("sign-in-form")).to_be_visible()
    sign_in_here(bench.page, "lena")
    bench.wait_for_task()
    bench.expect_order("D", "A")


def test_one_persons_outbox_is_not_sent_as_anothers(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(2)
    bench = visits.bench("lena")
    bench.wait_for_next()
    bench.rank("C", "A", "B", "D")
    end_all_sessions()
    bench.press("Enter")
    expect(bench.page.get_by_test_id("sign-in-form")).to_be_visible()
    sign_in_here(bench.page, "luis")
    luis = Workbench(bench.page)
    luis.page.goto("/")
    expect(luis.page.get_by_test_id("queue-tone")).to_be_visible()
    luis.expect_waiting(0)
    assert not Ranking.objects.exists()
    luis.page.get_by_test_id("account-menu").click()
    luis.page.get_by_test_id("sign-out").click()
    sign_in_here(bench.page, "lena")
    bench.expect_sent(1)
    assert Ranking.objects.get().labeler.username == "lena"
