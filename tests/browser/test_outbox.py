"""Submits that cannot be sent wait in sight, survive the tab, and go out once and in order."""

import pytest
from playwright.sync_api import Page, Request, Route, expect

from annotate.models import Claim, JudgingSettings, Project, Ranking, Rationale
from tests import services
from tests.browser.conftest import StartRound, Visits
from tests.browser.screen import Workbench
from tests.services import Site

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def submits(page: Page) -> list[str]:
    """Filled with the path of every ranking that the page sends."""
    found: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/ranking"):
            found.append(request.url)

    page.on("request", note)
    return found


def in_order_sent() -> list[int]:
    return list(Ranking.objects.order_by("id").values_list("claim_id", flat=True))


def ask_why(rationale: Rationale = Rationale.REQUIRED) -> None:
    """The server asks for more than the page that is open: it has another build, say."""
    Project.objects.update(rationale=rationale)
    Claim.objects.update(settings=JudgingSettings.objects.latest("pk"))


def expect_attention(page: Page, count: int) -> None:
    outbox = page.get_by_test_id("outbox-count").first
    expect(outbox).to_have_attribute("data-attention", str(count))


def test_offline_submits_outlive_the_tab_and_are_sent_once_in_order(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(3)
    profile = visits.profile("lena")
    bench = Workbench(profile.new_page())
    bench.page.goto("/label/tone")
    bench.wait_for_task()
    bench.wait_for_next()
    profile.set_offline(True)
    claims = []
    for count, tiers in enumerate(("ABCD", "DCBA"), 1):
        claims.append(int(bench.task_id or 0))
        bench.rank(*tiers)
        bench.press("Enter")
        bench.expect_waiting(count)
    expect(bench.page.get_by_test_id("server-state")).to_have_attribute("data-state", "offline")
    bench.page.close()
    assert not Ranking.objects.exists()
    profile.set_offline(False)
    later = Workbench(profile.new_page())
    sent = submits(later.page)
    later.page.goto("/")  # any page sends what waits
    expect(later.page.get_by_test_id("recent-rankings").get_by_role("link")).to_have_count(2)
    later.expect_sent(2)
    assert in_order_sent() == claims
    assert len(sent) == 2


def test_submits_go_out_by_themselves_when_the_network_is_back(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(2)
    bench = visits.bench("lena")
    bench.wait_for_next()
    sent = submits(bench.page)
    bench.page.context.set_offline(True)
    bench.rank("A", "B", "C", "D")
    bench.submit()
    bench.expect_waiting(1)
    bench.page.get_by_test_id("outbox-open").click()
    dialog = bench.page.get_by_test_id("dialog-outbox")
    expect(dialog).to_contain_text("The server was not reached")
    bench.page.keyboard.press("Escape")
    bench.page.context.set_offline(False)
    bench.expect_sent(1)
    assert len(set(sent)) == 1


def test_a_server_that_is_killed_and_started_again(
    visits: Visits, start_round: StartRound, site: Site
) -> None:
    start_round(3)
    bench = visits.bench("lena")
    bench.wait_for_next()
    site.child.kill()
    try:
        bench.rank("B", "A", "C", "D")
        bench.submit()
        bench.rank("A", "B", "C", "D")
        expect(bench.page.get_by_test_id("server-state")).to_have_attribute(
            "data-state", "unreachable"
        )
        bench.expect_waiting(1)
    finally:
        site.child.start()
        services.wait_until_ready(site.child)
    bench.expect_sent(1)
    bench.expect_order("A", "B", "C", "D")
    bench.submit()
    bench.expect_sent(2)


def test_a_proxy_that_answers_503_is_asked_again(visits: Visits, start_round: StartRound) -> None:
    start_round(2)
    bench = visits.bench("lena")
    bench.wait_for_next()

    def answer(route: Route) -> None:
        route.fulfill(status=503, body="<html>busy</html>")

    bench.page.route("**/api/claims/*/ranking", answer)
    bench.rank("B", "A", "C", "D")
    bench.submit()
    bench.page.get_by_test_id("outbox-open").click()
    expect(bench.page.get_by_test_id("outbox-problem")).to_contain_text("503")
    bench.page.keyboard.press("Escape")
    bench.page.unroute_all()
    bench.expect_sent(1)


def test_an_answer_that_was_lost_does_not_rank_twice(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(2)
    bench = visits.bench("lena")
    bench.wait_for_next()
    lost: list[int] = []

    def lose_the_answer(route: Route) -> None:
        lost.append(route.fetch().status)
        route.abort()

    bench.page.route("**/api/claims/*/ranking", lose_the_answer, times=1)
    bench.rank("B", "A", "C", "D")
    bench.submit()
    bench.expect_sent(1)
    assert lost == [201]


def test_what_the_server_refuses_needs_attention_and_is_not_lost(
    visits: Visits, project: Project, start_round: StartRound
) -> None:
    start_round(3)
    bench = visits.bench("lena")
    bench.wait_for_next()
    page = bench.page
    ask_why()
    bench.rank("A", "B", "C", "D")
    bench.submit()
    expect_attention(page, 1)
    expect(page.get_by_test_id("toast")).to_contain_text("This project asks why")
    page.reload()
    bench.wait_for_task()
    expect_attention(page, 1)
    page.get_by_test_id("outbox-open").click()
    dialog = page.get_by_test_id("dialog-outbox")
    expect(dialog).to_contain_text("Write a sentence before you submit")
    ask_why(rationale=Rationale.OPTIONAL)
    dialog.get_by_role("button", name="Send again").click()
    bench.expect_sent(1)
    expect_attention(page, 0)


def test_a_refused_submit_is_discarded_only_after_asking(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(2)
    bench = visits.bench("lena")
    bench.wait_for_next()
    ask_why()
    bench.rank("A", "B", "C", "D")
    bench.submit()
    expect_attention(bench.page, 1)
    bench.page.get_by_test_id("outbox-open").click()
    discard = bench.page.get_by_test_id("outbox-discard")
    discard.click()
    expect(discard).to_have_text("Discard for good?")
    expect_attention(bench.page, 1)
    discard.click()
    expect_attention(bench.page, 0)
    assert not Ranking.objects.exists()


def test_a_refused_submit_can_be_changed_and_sent_again(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(2)
    bench = visits.bench("lena")
    bench.wait_for_next()
    page = bench.page
    ask_why()
    bench.rank("B", "AD", "C")
    bench.submit()
    expect_attention(page, 1)
    page.get_by_test_id("outbox-open").click()
    page.get_by_test_id("outbox-edit").click()
    form = page.get_by_test_id("edit-item")
    expect(form).to_contain_text("Write a sentence before you submit")
    bench.expect_order("B", "AD", "C")
    bench.press("Enter")
    expect(page.get_by_test_id("missing")).to_contain_text("rationale")
    assert not Ranking.objects.exists()
    page.get_by_test_id("rationale").fill("B names its source")
    page.get_by_test_id("submit").click()
    bench.expect_sent(1)
    expect_attention(page, 0)
    said = Ranking.objects.get()
    assert said.rationale == "B names its source"
    assert [len(tier) for tier in said.tiers] == [1, 2, 1]
