"""Ranking by keyboard at the workbench: the keys, what Enter refuses, what undo brings back."""

import pytest
from playwright.sync_api import Route, expect

from annotate.models import Ranking
from tests.browser.conftest import StartRound, Visits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def last_ranking() -> Ranking:
    return Ranking.objects.latest("id")


def in_letters(ranking: Ranking) -> list[str]:
    """Tiers as the labeler saw them: A is the first response shown."""
    letters = dict(zip(ranking.order, "ABCDEFGHI", strict=False))
    return ["".join(sorted(letters[each] for each in tier)) for tier in ranking.tiers]


def test_letters_ties_backspace_arrows_and_marks(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    bench = visits.bench("lena")
    bench.press("b", "a")
    bench.expect_order("B", "A")
    bench.press("=", "d")
    # C is the only one left: it is placed by itself, and taken back with the one before it.
    bench.expect_order("B", "AD", "C")
    spoken = bench.page.get_by_test_id("order-in-words")
    expect(spoken).to_have_text("1: B. 2: A and D, tied. 3: C.")
    bench.press("Backspace")
    bench.expect_order("B", "A")
    bench.press("c")
    bench.expect_order("B", "A", "C", "D")
    bench.press("ArrowUp")  # C joins A's tier …
    bench.expect_order("B", "AC", "D")
    bench.press("ArrowUp")  # … and passes it
    bench.expect_order("B", "C", "A", "D")
    bench.press("ArrowLeft", "x")  # B is chosen and marked: below all that are acceptable
    bench.expect_order("C", "A", "D", "B", unacceptable="B")
    bench.page.get_by_test_id("reason-B").fill("makes up a quotation")
    bench.press("Escape")
    bench.submit()
    bench.expect_sent(1)
    ranking = last_ranking()
    assert in_letters(ranking) == ["C", "A", "D", "B"]
    assert ranking.unacceptable == [
        {"completion": ranking.order[1], "reason": "makes up a quotation"}
    ]
    assert ranking.active_ms > 0


def test_enter_says_what_is_missing(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    bench = visits.bench("lena")
    missing = bench.page.get_by_test_id("missing")
    bench.press("Enter")
    expect(missing).to_have_text("Still to rank: A, B, C, and D")
    bench.press("c", "Enter")
    expect(missing).to_have_text("Still to rank: A, B, and D")
    bench.press("a")
    expect(missing).not_to_contain_text("Still to rank")
    expect(bench.page.get_by_test_id("submit")).to_have_attribute("aria-disabled", "true")
    assert bench.waiting() == 0
    assert not Ranking.objects.exists()


def test_the_next_task_is_there_without_asking(visits: Visits, start_round: StartRound) -> None:
    start_round(3)
    bench = visits.bench("lena")
    bench.wait_for_next()
    held_up: list[Route] = []
    for path in ("claims", "claims/*/ranking"):
        bench.page.route(f"**/api/**/{path}", lambda route: held_up.append(route))
    first = bench.text_of("A")
    bench.rank("A", "B", "C", "D")
    bench.submit()
    bench.wait_for_task()
    assert bench.text_of("A") != first
    bench.expect_order()
    assert not Ranking.objects.exists()
    for route in held_up:
        route.continue_()
    bench.page.unroute_all()
    bench.expect_sent(1)
    assert in_letters(last_ranking()) == ["A", "B", "C", "D"]


def test_undo_of_a_sent_ranking(visits: Visits, start_round: StartRound) -> None:
    start_round(2)
    bench = visits.bench("lena")
    first = bench.task_id
    bench.rank("D", "AB", "C")
    bench.submit()
    bench.expect_sent(1)
    expect(bench.page.get_by_test_id("ranked-today")).to_have_attribute("data-count", "1")
    bench.press("u")
    bench.expect_task(first)
    bench.expect_order("D", "AB", "C")
    expect(bench.page.get_by_test_id("ranked-today")).to_have_attribute("data-count", "0")
    assert last_ranking().withdrawn_at is not None
    bench.press("Backspace", "Backspace", "Backspace", "Backspace")
    bench.rank("A", "B", "C", "D")
    bench.submit()
    bench.expect_sent(2)
    assert in_letters(Ranking.objects.get(current=True)) == ["A", "B", "C", "D"]


def test_undo_of_an_unsent_ranking_leaves_no_trace(visits: Visits, start_round: StartRound) -> None:
    start_round(2)
    bench = visits.bench("lena")
    bench.wait_for_next()
    first = bench.task_id
    bench.page.context.set_offline(True)
    bench.rank("B", "A", "C", "D")
    bench.submit()
    bench.expect_waiting(1)
    bench.press("u")
    bench.expect_task(first)
    bench.expect_waiting(0)
    bench.expect_order("B", "A", "C", "D")
    bench.page.context.set_offline(False)
    bench.press("ArrowRight", "ArrowUp")
    bench.submit()
    bench.expect_sent(1)
    assert Ranking.objects.count() == 1


def test_undo_with_nothing_to_undo_says_so(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    bench = visits.bench("lena")
    bench.press("u")
    expect(bench.page.get_by_test_id("toast")).to_contain_text("Nothing was submitted here yet")


def test_two_responses(visits: Visits, start_round: StartRound) -> None:
    start_round(2, k=2)
    bench = visits.bench("lena")
    bench.press("b")
    bench.expect_order("B", "A")
    bench.press("=")
    bench.expect_order("AB")
    bench.wait_for_next()
    bench.submit()
    bench.wait_for_task()  # else the letter may be pressed while nothing is on the desk
    bench.press("a")
    bench.submit()
    bench.expect_sent(2)
    assert [in_letters(each) for each in Ranking.objects.order_by("id")] == [["AB"], ["A", "B"]]


def test_nine_responses_with_letters_that_are_commands_elsewhere(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(1, k=9)
    bench = visits.bench("lena")
    assert bench.labels == "ABCDEFGHI"
    bench.rank("F", "G", "IH", "A", "B", "C", "D")
    bench.expect_order("F", "G", "IH", "A", "B", "C", "D", "E")
    bench.press("Shift+F")
    expect(bench.page.get_by_test_id("dialog-flag")).to_be_visible()
    bench.press("Escape", "Shift+G")
    expect(bench.page.get_by_test_id("dialog-guidelines")).to_be_visible()
    bench.press("Escape")
    bench.submit()
    bench.expect_sent(1)
    assert in_letters(last_ranking()) == ["F", "G", "HI", "A", "B", "C", "D", "E"]


def test_keys_raw_text_and_guidelines(visits: Visits, start_round: StartRound) -> None:
    round_ = start_round(1, texts=["**bold** one", "two", "three", "four"])
    round_.project.guidelines = "Prefer the *shorter* one."
    round_.project.save()
    bench = visits.bench("lena")
    page = bench.page
    assert page.locator(".prose strong").count() == 1
    bench.show_raw()
    expect(page.get_by_text("**bold** one")).to_be_visible()
    bench.show_raw()
    expect(page.locator(".prose strong")).to_have_text("bold")
    bench.press("g")
    guidelines = page.get_by_test_id("dialog-guidelines")
    expect(guidelines.locator("em")).to_have_text("shorter")
    bench.press("a")  # keys do nothing behind a dialog
    bench.press("Escape", "?")
    expect(page.get_by_test_id("dialog-keys")).to_contain_text("undo the last submit")
    bench.press("Escape")
    expect(page.get_by_test_id("dialog-keys")).to_have_count(0)
    bench.expect_order()


def test_ties_can_be_forbidden(visits: Visits, start_round: StartRound) -> None:
    round_ = start_round(1)
    round_.project.ties_allowed = False
    round_.project.save()
    bench = visits.bench("lena")
    bench.press("a", "=")
    expect(bench.page.get_by_test_id("toast")).to_contain_text("does not allow ties")
    bench.press("b")
    bench.expect_order("A", "B")


def test_arrows_alone_choose_and_move(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    bench = visits.bench("lena")
    bench.rank("A", "B", "C", "D")
    bench.press("Escape", "ArrowRight")
    expect(bench.page.get_by_test_id("response-card-A")).to_have_attribute("data-focused", "true")
    bench.press("ArrowDown", "ArrowDown")
    bench.expect_order("B", "A", "C", "D")
    bench.press("ArrowLeft")
    focused = bench.page.locator("[data-focused='true']")
    expect(focused).to_have_attribute("data-testid", "response-card-D")
