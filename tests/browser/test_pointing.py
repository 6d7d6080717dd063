"""The same ranking without a keyboard: drag and drop by mouse and by finger, buttons on a phone."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotate.models import Ranking
from tests.browser.conftest import StartRound, Visits
from tests.browser.screen import Workbench

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
}


def middle(page: Page, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(bench: Workbench, label: str, to: str) -> None:
    """Drag a letter of the strip by mouse; the targets appear when it is lifted."""
    page, mouse = bench.page, bench.page.mouse
    x, y = middle(page, f"[data-testid=chip-{label}]")
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + 12, y - 4, steps=3)
    expect(page.locator(".drag-ghost")).to_be_visible()
    mouse.move(*middle(page, to), steps=5)
    mouse.up()
    expect(page.locator(".drag-ghost")).to_have_count(0)


def test_drag_and_drop_by_mouse(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    bench = visits.bench("lena")
    bench.press("a", "b")
    drag(bench, "C", "[data-testid=tier-1]")
    bench.expect_order("AC", "B", "D")
    drag(bench, "B", "[data-drop='gap:0']")
    bench.expect_order("B", "AC", "D")
    drag(bench, "A", "[data-testid=unacceptable-tray]")
    bench.expect_order("B", "C", "D", "A", unacceptable="A")
    drag(bench, "B", "[data-testid=unranked]")
    # D was placed only because it was the last one left, which it is no more.
    bench.expect_order("C", "A", unacceptable="A")
    bench.press("Enter")
    expect(bench.page.get_by_test_id("missing")).to_have_text("Still to rank: B and D")
    bench.press("d")
    bench.expect_order("C", "D", "B", "A", unacceptable="A")
    bench.submit()
    bench.expect_sent(1)
    letters = dict(zip(Ranking.objects.get().order, "ABCD", strict=True))
    assert [letters[tier[0]] for tier in Ranking.objects.get().tiers] == ["C", "D", "B", "A"]


def test_escape_and_a_drop_on_nothing_leave_the_order(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(1)
    bench = visits.bench("lena")
    bench.rank("A", "B", "C", "D")
    drag(bench, "D", "h1")
    bench.expect_order("A", "B", "C", "D")
    page = bench.page
    x, y = middle(page, "[data-testid=chip-D]")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(*middle(page, "[data-testid=tier-1]"), steps=5)
    page.keyboard.press("Escape")
    page.mouse.up()
    bench.expect_order("A", "B", "C", "D")


def test_buttons_on_a_phone_without_sideways_scroll(
    visits: Visits, start_round: StartRound
) -> None:
    round_ = start_round(1, k=4, texts=["short", "w" * 400, "x " * 600, "| a | b |\n|-|-|\n" * 3])
    round_.project.axes = [{"key": "helpful", "name": "Helpful", "min": 1, "max": 7}]
    round_.project.strength = True
    round_.project.save()
    bench = visits.bench("lena", **PHONE)
    page = bench.page
    page.get_by_test_id("rank-B").tap()
    page.get_by_test_id("tie-A").tap()
    bench.expect_order("AB")
    page.get_by_test_id("unacceptable-D").tap()
    bench.expect_order("AB", "C", "D", unacceptable="D")
    page.get_by_test_id("unrank-C").tap()
    page.get_by_test_id("rank-C").tap()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_test_id("submit").tap()
    bench.expect_sent(1)
    page.get_by_test_id("undo").tap()
    bench.wait_for_task()
    bench.expect_order("AB", "C", "D", unacceptable="D")


def test_drag_by_finger(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    bench = visits.bench("lena", **PHONE)
    page = bench.page
    page.get_by_test_id("rank-B").tap()
    touch = page.context.new_cdp_session(page)

    def finger(kind: str, *points: tuple[float, float]) -> None:
        spots = [{"x": x, "y": y} for x, y in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

    x, y = middle(page, "[data-testid=chip-C]")
    finger("touchStart", (x, y))
    for step in range(1, 6):
        finger("touchMove", (x + 4 * step, y - step))
    expect(page.locator(".drag-ghost")).to_be_visible()
    finger("touchMove", middle(page, "[data-testid=tier-1]"))
    finger("touchEnd")
    bench.expect_order("BC")


@pytest.mark.parametrize("path", ["/", "/rankings", "/label/tone"])
def test_labelers_pages_fit_a_phone(visits: Visits, start_round: StartRound, path: str) -> None:
    start_round(1, k=9)
    bench = visits.bench("lena", **PHONE)
    bench.rank("ABC", "DEF", "G", "H")
    bench.submit()
    bench.expect_sent(1)
    bench.page.goto(path)
    expect(bench.page.get_by_role("main").locator("h1, h2").first).to_be_visible()
    assert bench.page.evaluate("document.documentElement.scrollWidth") == 360
