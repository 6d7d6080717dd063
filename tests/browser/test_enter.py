"""Enter submits wherever one clicked before; what one went to with Tab it works."""

import json

import pytest
from playwright.sync_api import Page, expect

from annotate.models import Project, Ranking
from annotate.services.prompts import import_prompts
from tests.browser.conftest import StartRound, Visits
from tests.browser.screen import Workbench

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

LINK = "See [the letter](mailto:editor@example.org) and rest."


@pytest.fixture
def framed(project: Project, start_round: StartRound) -> None:
    """Three tasks with a system prompt to unfold and a link in every response."""
    lines = [
        {
            "id": str(n),
            "split": "train",
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": f"Question {n}"},
            ],
        }
        for n in range(3)
    ]
    source = "\n".join(map(json.dumps, lines))
    import_prompts(project_id=project.pk, actor_id=None, source=source, format="jsonl")
    start_round(0, texts=[f"{n}. {LINK}" for n in range(4)])


def unfolded(page: Page) -> bool:
    return bool(page.get_by_test_id("system-prompt").evaluate("details => details.open"))


def expect_submitted(bench: Workbench) -> None:
    bench.submit()
    bench.expect_sent(1)


@pytest.mark.usefixtures("framed")
def test_after_a_click_on_what_unfolds(visits: Visits) -> None:
    bench = visits.bench("lena")
    bench.page.locator("summary").first.click()
    assert unfolded(bench.page)
    bench.rank("A", "B", "C", "D")
    expect_submitted(bench)


@pytest.mark.usefixtures("framed")
def test_after_a_click_on_a_link_inside_a_response(visits: Visits) -> None:
    bench = visits.bench("lena")
    # The click arrives, but no mail program is looked for.
    bench.page.evaluate("addEventListener('click', (event) => event.preventDefault())")
    bench.page.get_by_test_id("response-text-B").get_by_role("link").click()
    bench.rank("A", "B", "C", "D")
    expect_submitted(bench)


@pytest.mark.usefixtures("framed")
def test_after_going_to_another_page_and_back(visits: Visits) -> None:
    bench = visits.bench("lena")
    page = bench.page
    page.get_by_role("link", name="My rankings").first.click()
    page.wait_for_url("**/rankings")
    page.go_back()
    bench.wait_for_task()
    bench.rank("A", "B", "C", "D")
    expect_submitted(bench)
    assert page.url.endswith("/label/tone")


@pytest.mark.usefixtures("framed")
def test_after_clicks_on_buttons_and_the_account_menu(visits: Visits) -> None:
    bench = visits.bench("lena")
    page = bench.page
    page.get_by_test_id("account-menu").click()
    page.keyboard.press("Escape")
    page.get_by_test_id("tool-raw").click()
    for label in "ABC":
        page.get_by_test_id(f"rank-{label}").click()
    page.get_by_test_id("response-card-B").locator("button.letter").click()
    expect_submitted(bench)


@pytest.mark.usefixtures("framed")
def test_what_was_reached_with_tab_is_worked(visits: Visits) -> None:
    bench = visits.bench("lena")
    page = bench.page
    bench.rank("A", "B", "C", "D")
    before = bench.task_id
    summary = page.locator("summary").first
    for _ in range(30):
        if summary.evaluate("it => it === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(summary).to_be_focused()
    bench.press("Enter")
    assert unfolded(page)
    # Dialogs give the focus back to what was reached with Tab: it is still there.
    bench.press("?", "Escape", "Enter")
    assert not unfolded(page)
    assert bench.task_id == before
    assert not Ranking.objects.exists()
    # And whoever takes the mouse again has left it.
    page.get_by_test_id("unrank-A").click()
    page.get_by_test_id("rank-A").click()
    expect_submitted(bench)


@pytest.mark.usefixtures("framed")
def test_enter_in_a_text_makes_a_line_and_control_enter_submits(
    visits: Visits, project: Project
) -> None:
    bench = visits.bench("lena")
    bench.rank("A", "B", "C", "D")
    rationale = bench.page.get_by_test_id("rationale")
    rationale.click()
    bench.page.keyboard.type("one\ntwo")
    expect(rationale).to_have_value("one\ntwo")
    assert not Ranking.objects.exists()
    bench.press("Control+Enter")
    bench.expect_sent(1)
    assert Ranking.objects.get().rationale == "one\ntwo"
