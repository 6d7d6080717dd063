"""What a labeler has said so far: the list, one ranking, and changing it in an open round."""

import pytest
from playwright.sync_api import expect

from annotate.models import Ranking, User
from annotate.services import rounds
from tests.browser.conftest import Say, StartRound, Visits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def test_list_detail_and_a_change_as_a_revision(visits: Visits, start_round: StartRound) -> None:
    start_round(2)
    bench = visits.bench("lena")
    page = bench.page
    bench.rank("B", "AD", "C")
    page.get_by_test_id("rationale").fill("because")
    page.keyboard.press("Escape")
    bench.submit()
    bench.expect_sent(1)
    first = Ranking.objects.get()
    page.get_by_role("link", name="My rankings").first.click()
    row = page.get_by_test_id(f"row-{first.pk}")
    expect(row).to_contain_text("B›A = D›C")
    expect(row).to_contain_text("Can be changed")
    row.get_by_role("link").click()
    said = page.get_by_test_id("said")
    expect(said).to_contain_text("because")
    expect(page.get_by_test_id("order-in-words")).to_have_text("1: B. 2: A and D, tied. 3: C.")
    assert page.get_by_test_id("submit").count() == 0

    page.get_by_test_id("edit-ranking").click()
    page.get_by_test_id("unrank-B").click()
    bench.press("Enter")
    expect(page.get_by_test_id("missing")).to_have_text("Still to rank: B")
    bench.press("b", "Enter")
    expect(page.get_by_test_id("toast")).to_contain_text("saved as revision 2")
    expect(page.get_by_test_id("order-in-words")).to_have_text("1: A and D, tied. 2: C. 3: B.")
    second = Ranking.objects.get(current=True)
    assert (second.revision, second.supersedes_id) == (2, first.pk)
    assert second.rationale == "because"
    assert page.url.endswith(f"/rankings/{second.pk}")
    page.goto("/rankings")
    expect(page.get_by_test_id(f"row-{first.pk}")).to_contain_text("Replaced")


def test_a_change_can_be_given_up(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    bench = visits.bench("lena")
    bench.rank("A", "B", "C", "D")
    bench.submit()
    bench.expect_sent(1)
    page = bench.page
    page.goto(f"/rankings/{Ranking.objects.get().pk}")
    page.get_by_test_id("edit-ranking").click()
    page.get_by_test_id("unrank-A").click()
    page.get_by_test_id("stop-editing").click()
    expect(page.get_by_test_id("order-in-words")).to_have_text("1: A. 2: B. 3: C. 4: D.")
    assert Ranking.objects.count() == 1


def test_a_closed_round_makes_rankings_final(visits: Visits, start_round: StartRound) -> None:
    round_ = start_round(1)
    bench = visits.bench("lena")
    bench.rank("A", "B", "C", "D")
    bench.submit()
    bench.expect_sent(1)
    ranking = Ranking.objects.get()
    rounds.close_round(round_id=round_.pk, actor_id=User.objects.get(username="ada").pk)
    page = bench.page
    page.goto(f"/rankings/{ranking.pk}")
    expect(page.get_by_test_id("said")).to_be_visible()
    assert page.get_by_test_id("edit-ranking").count() == 0
    page.goto("/rankings")
    expect(page.get_by_test_id(f"row-{ranking.pk}")).to_contain_text("Final")


def test_nobody_else_sees_a_ranking(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    bench = visits.bench("lena")
    bench.rank("A", "B", "C", "D")
    bench.submit()
    bench.expect_sent(1)
    page = visits.page("luis", f"/rankings/{Ranking.objects.get().pk}")
    expect(page.get_by_test_id("not-found")).to_be_visible()
    page.goto("/rankings")
    expect(page.get_by_role("main")).to_contain_text("You have not ranked anything yet")


def test_a_change_of_what_another_page_changed_meanwhile(
    visits: Visits, start_round: StartRound, say: Say
) -> None:
    start_round(1)
    path = f"/rankings/{say('lena')}"
    pages = [visits.page("lena", path) for _ in range(2)]
    for number, page in enumerate(pages, 1):
        page.get_by_test_id("edit-ranking").click()
        page.get_by_test_id("rationale").fill(f"change {number}")
    pages[0].get_by_test_id("submit").click()
    expect(pages[0].get_by_test_id("toast")).to_contain_text("saved as revision 2")
    pages[1].get_by_test_id("submit").click()
    expect(pages[1].get_by_test_id("rationale")).to_have_value("change 2")
    pages[1].get_by_role("button", name="Replace the newer one").click()
    expect(pages[1].get_by_test_id("toast")).to_contain_text("saved as revision 3")
    assert Ranking.objects.get(current=True).rationale == "change 2"
