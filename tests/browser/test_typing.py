"""Words go where a field was opened for them; keys of other layouts mean what they do on ours."""

import pytest
from playwright.sync_api import Page, expect

from annotate.models import Project, Ranking
from tests.browser.conftest import StartRound, Visits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def test_words_after_x_are_its_reason(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    bench = visits.bench("lena")
    page = bench.page
    bench.rank("A", "B", "C", "D")
    bench.press("x")
    page.keyboard.type("it lies, a bad fraud")
    expect(page.get_by_test_id("reason-D")).to_have_value("it lies, a bad fraud")
    expect(page.locator("dialog")).to_have_count(0)
    bench.expect_order("A", "B", "C", "D", unacceptable="D")
    bench.press("Enter")  # back to the keys, no submit
    expect(page.get_by_test_id("reason-D")).not_to_be_focused()
    assert not Ranking.objects.exists()
    bench.press("ArrowLeft", "x")
    page.keyboard.type("s")
    bench.press("Escape")
    expect(page.get_by_test_id("reason-C")).to_have_value("s")
    bench.press("x")  # the mark comes off: nothing opens
    bench.expect_order("A", "B", "C", "D", unacceptable="D")
    bench.submit()
    bench.expect_sent(1)
    ranking = Ranking.objects.get()
    assert ranking.unacceptable == [
        {"completion": ranking.order[3], "reason": "it lies, a bad fraud"}
    ]


def test_a_mark_by_mouse_and_a_blank_answer_open_their_fields(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(1)
    bench = visits.bench("lena")
    page = bench.page
    page.get_by_test_id("unacceptable-B").click()
    expect(page.get_by_test_id("reason-B")).to_be_focused()
    page.get_by_test_id("better-blank").click()
    page.keyboard.type("sfx better")
    expect(page.get_by_test_id("better-answer")).to_have_value("sfx better")
    page.get_by_test_id("rank-A").click()  # whoever clicks a button types no more
    bench.press("c")
    bench.expect_order("A", "C", "D", "B", unacceptable="B")
    page.get_by_test_id("discard-answer").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_test_id("better-answer")).to_be_focused()


def test_a_rationale_that_is_missing_is_asked_for_in_place(
    visits: Visits, project: Project, start_round: StartRound
) -> None:
    Project.objects.update(rationale="required")
    start_round(1)
    bench = visits.bench("lena")
    page = bench.page
    bench.rank("A", "B", "C", "D")
    bench.press("Enter")
    page.keyboard.type("sound figures")
    expect(page.get_by_test_id("rationale")).to_have_value("sound figures")
    expect(page.locator("dialog")).to_have_count(0)


def test_under_a_finger_no_keyboard_covers_the_response(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(1)
    bench = visits.bench(
        "lena", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True
    )
    bench.page.get_by_test_id("unacceptable-B").tap()
    expect(bench.page.get_by_test_id("reason-B")).to_be_visible()
    expect(bench.page.get_by_test_id("reason-B")).not_to_be_focused()


def strike(page: Page, key: str, code: str) -> None:
    """A key press as another keyboard layout sends it."""
    page.evaluate(
        """([key, code]) => document.activeElement.dispatchEvent(
            new KeyboardEvent("keydown", { key, code, bubbles: true, cancelable: true }))""",
        [key, code],
    )


def test_keys_that_write_none_of_our_letters(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    bench = visits.bench("lena")
    strike(bench.page, "لا", "KeyB")  # Arabic: two characters
    bench.expect_order("B")
    strike(bench.page, "Unidentified", "KeyD")
    strike(bench.page, "Dead", "KeyA")
    bench.expect_order("B", "D", "A", "C")
    strike(bench.page, "ч", "KeyX")  # Russian
    expect(bench.page.get_by_test_id("reason-A")).to_be_focused()
    strike(bench.page, "لا", "KeyB")  # in a field keys write
    bench.expect_order("B", "D", "C", "A", unacceptable="A")
