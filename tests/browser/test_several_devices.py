"""One person's text on several devices: clocks that differ, requests that overtake each other."""

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from annotate.models import Draft, KeptDraft
from tests.browser.conftest import StartRound, Visits
from tests.browser.screen import Workbench, eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

TWO_HOURS_FAST = """
(() => {
  const Real = Date;
  const now = () => Real.now() + 7_200_000;
  globalThis.Date = class extends Real {
    constructor(...given) { given.length ? super(...given) : super(now()); }
    static now() { return now(); }
  };
})();
"""


def open_bench(device: BrowserContext) -> Workbench:
    bench = Workbench(device.new_page())
    bench.page.goto("/label/tone")
    bench.wait_for_task()
    return bench


def write(bench: Workbench, text: str, state: str = "saved") -> None:
    bench.page.get_by_test_id("rationale").fill(text)
    kept = bench.page.get_by_test_id("draft-state")
    expect(kept).to_have_attribute("data-state", state)


def expect_text(bench: Workbench, text: str) -> None:
    expect(bench.page.get_by_test_id("rationale")).to_have_value(text)


def leave(bench: Workbench) -> None:
    bench.page.get_by_role("link", name="My rankings").first.click()
    expect(bench.page.get_by_role("heading", name="My rankings")).to_be_visible()


def test_a_device_whose_clock_is_fast_does_not_win(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    device = visits.profile("lena")
    device.add_init_script(TWO_HOURS_FAST)
    laptop = open_bench(device)
    write(laptop, "first thoughts")
    leave(laptop)
    desktop = visits.bench("lena")
    expect_text(desktop, "first thoughts")
    write(desktop, "a longer text")
    leave(desktop)
    laptop.page.goto("/label/tone")
    laptop.wait_for_task()
    expect_text(laptop, "a longer text")
    assert laptop.page.evaluate("Date.now()") - desktop.page.evaluate("Date.now()") > 7_000_000
    laptop.press("a")
    state = laptop.page.get_by_test_id("draft-state")
    expect(state).to_have_attribute("data-state", "saved")
    assert Draft.objects.get().body["rationale"] == "a longer text"
    assert not KeptDraft.objects.exists()


def test_what_was_written_offline_lies_beside_a_newer_text(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(1)
    device = visits.profile("lena")
    laptop = open_bench(device)
    write(laptop, "first thoughts")
    device.set_offline(True)
    write(laptop, "thoughts on the train", "device")
    laptop.page.close()
    desktop = visits.bench("lena")
    write(desktop, "a longer text")
    leave(desktop)
    device.set_offline(False)
    laptop = open_bench(device)
    expect_text(laptop, "a longer text")
    page = laptop.page
    expect(page.locator("[data-testid^='kept-text-']")).to_contain_text("An older text of yours")
    page.get_by_test_id("kept-show").click()
    expect(page.get_by_test_id("kept-body")).to_contain_text("thoughts on the train")
    page.get_by_test_id("kept-use").click()
    expect_text(laptop, "thoughts on the train")
    page.get_by_test_id("kept-show").click()
    expect(page.get_by_test_id("kept-body")).to_contain_text("a longer text")
    page.reload()
    laptop.wait_for_task()
    expect_text(laptop, "thoughts on the train")
    page.get_by_test_id("kept-drop").click()
    page.get_by_test_id("kept-drop").click()
    expect(page.locator("[data-testid^='kept-text-']")).to_have_count(0)
    assert not KeptDraft.objects.exists()


@pytest.mark.parametrize("choice", ["show-newest", "go-on-with-this"])
def test_a_page_that_is_still_open_is_told_of_the_newer_text(
    visits: Visits, start_round: StartRound, choice: str
) -> None:
    start_round(1)
    laptop, desktop = visits.bench("lena"), visits.bench("lena")
    write(laptop, "from the laptop")
    write(desktop, "from the desktop", "beside")
    expect(desktop.page.get_by_test_id("newer-text")).to_be_visible()
    assert Draft.objects.get().body["rationale"] == "from the laptop"
    desktop.page.get_by_test_id(choice).click()
    shown, other = "from the laptop", "from the desktop"
    if choice == "go-on-with-this":
        shown, other = other, shown
    expect_text(desktop, shown)
    desktop.page.get_by_test_id("kept-show").click()
    expect(desktop.page.get_by_test_id("kept-body")).to_contain_text(other)
    assert Draft.objects.get().body["rationale"] == shown
    assert KeptDraft.objects.get().body["rationale"] == other


def test_of_two_requests_in_the_wrong_order_the_older_loses(
    visits: Visits, start_round: StartRound
) -> None:
    start_round(1)
    bench = visits.bench("lena")
    slow: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if slow:
            route.continue_()
        else:
            slow.append(route)

    bench.page.route("**/api/claims/*/draft", hold_the_first)
    bench.page.get_by_test_id("rationale").fill("older")
    eventually(bench.page, lambda: len(slow) == 1)
    write(bench, "newer")
    with bench.page.expect_response("**/api/claims/*/draft"):
        slow[0].continue_()
    assert Draft.objects.get().body["rationale"] == "newer"
    assert not KeptDraft.objects.exists()
    bench.page.reload()
    bench.wait_for_task()
    expect_text(bench, "newer")
