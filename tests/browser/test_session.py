"""Signing in and out, and a session that ends in the middle of the work."""

import pytest
from django.contrib.sessions.models import Session
from django.core.cache import cache
from playwright.sync_api import Page, expect

from annotate.models import Draft, Project, Ranking
from tests import cast
from tests.browser.conftest import Say, StartRound, Visits
from tests.browser.screen import Workbench, eventually, held_back, sign_in

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
    with held_back(bench.page):
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
    with held_back(bench.page):
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
    with held_back(bench.page):
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


def switch_in_another_tab(page: Page, username: str) -> Page:
    """In another tab of the same browser somebody signs out, and somebody else in."""
    other = page.context.new_page()
    other.goto("/rankings")
    other.get_by_test_id("account-menu").click()
    other.get_by_test_id("sign-out").click()
    sign_in_here(other, username)
    return other


def test_a_ranking_in_a_tab_whose_session_became_anothers_waits_for_its_person(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(2)
    bench = visits.bench("lena")
    bench.wait_for_next()
    bench.rank("C", "A", "B", "D")
    other = switch_in_another_tab(bench.page, "luis")
    bench.press("Enter")
    said = bench.page.get_by_test_id("sign-in-other")
    expect(said).to_contain_text("Luis is signed in here now")
    expect(said).to_contain_text("Lena")
    assert not Ranking.objects.exists()
    expect(other.get_by_test_id("account-menu")).to_be_visible()

    other.get_by_test_id("account-menu").click()
    other.get_by_test_id("sign-out").click()
    sign_in_here(other, "lena")  # in the other tab: both go on, and what waited is sent
    bench.expect_sent(1)
    bench.wait_for_task()
    assert Ranking.objects.get().labeler.username == "lena"
    expect(bench.page.get_by_test_id("outbox-count")).to_have_attribute("data-attention", "0")


def test_a_text_in_a_tab_whose_session_became_anothers_is_kept(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(2)
    bench = visits.bench("lena")
    before = bench.task_id
    switch_in_another_tab(bench.page, "luis")
    bench.page.get_by_test_id("rationale").fill("Lena wrote this")
    expect(bench.page.get_by_test_id("sign-in-other")).to_be_visible()
    expect(bench.page.get_by_test_id("sign-in-username")).to_have_value("lena")
    assert not Draft.objects.exists()
    sign_in_here(bench.page, "lena")
    bench.expect_task(before)
    expect(bench.page.get_by_test_id("rationale")).to_have_value("Lena wrote this")


def test_a_change_of_a_ranking_goes_out_when_its_person_is_back(
    visits: Visits, start_round: StartRound, say: Say
) -> None:
    start_round(1)
    page = visits.page("lena", f"/rankings/{say('lena')}")
    page.get_by_test_id("edit-ranking").click()
    page.get_by_test_id("rationale").fill("on second thoughts")
    switch_in_another_tab(page, "luis")
    page.get_by_test_id("submit").click()
    expect(page.get_by_test_id("sign-in-other")).to_be_visible()
    assert Ranking.objects.count() == 1
    sign_in_here(page, "lena")
    eventually(page, lambda: Ranking.objects.filter(rationale="on second thoughts").exists())


def test_a_tab_can_go_on_as_the_one_who_is_signed_in(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(4)
    bench = visits.bench("lena")
    switch_in_another_tab(bench.page, "luis")
    bench.press("a")
    bench.page.get_by_test_id("sign-in-as-other").click()
    bench.wait_for_task()
    bench.expect_order()
    bench.page.get_by_test_id("account-menu").click()
    expect(bench.page.get_by_text("luis", exact=True)).to_be_visible()
