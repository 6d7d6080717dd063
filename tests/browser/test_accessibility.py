"""A smoke test of accessibility: axe on the main pages, light and dark; the keyboard alone."""

from functools import cache
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from annotate.environment import CHECKOUT
from annotate.models import Project, Prompt, Role, User
from tests import cast
from tests.browser.conftest import Say, StartRound, Visits
from tests.browser.screen import Workbench

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

SCHEMES: dict[Literal["light", "dark"], dict[str, Any]] = {
    "light": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    },
    "dark": {"type": "rule", "values": ["color-contrast"]},
}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "is_mobile": True}
# Colours are compared when no transition from one scheme to the other is under way.
SETTLED = "() => document.getAnimations().every(each => each.playState !== 'running')"
# The focused element, and whether a ring is drawn around it or the label that stands for it.
FOCUS = """() => {
    const focused = document.activeElement;
    const ringed = (node) => {
        const style = getComputedStyle(node);
        return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
    };
    const name = focused.dataset.testid || focused.textContent.trim().slice(0, 40);
    return [focused.tagName + " " + name, ringed(focused) || ringed(focused.parentElement)];
}"""


@cache
def axe() -> str:
    path = CHECKOUT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
    if not path.exists():
        pytest.skip("axe-core is not installed: run npm ci in frontend/")
    return path.read_text()


def violations(page: Page, rules: dict[str, Any]) -> list[str]:
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", rules)
    return [
        f"{page.url} {each['id']}: {node['target'][-1]} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"][:3]
    ]


def check(page: Page, path: str, sign: str) -> list[str]:
    """What axe finds on a page; `sign` is there when it has been loaded.

    All rules in light; in dark only the colours are others.
    """
    if path:
        page.goto(path)
    expect(page.locator(sign).first).to_be_visible()
    # The page's own policy refuses foreign scripts, the debugger's door is open.
    page.context.new_cdp_session(page).send("Runtime.evaluate", {"expression": axe()})
    found = []
    for scheme, rules in SCHEMES.items():
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        page.wait_for_function(SETTLED)
        found += [f"{scheme}: {each}" for each in violations(page, rules)]
    return found


@pytest.fixture
def busy_project(project: Project, start_round: StartRound, say: Say) -> int:
    """Every page has something to show; the id of a ranking."""
    project.strength = True
    project.axes = [{"key": "helpful", "name": "Helpful", "min": 1, "max": 5}]
    project.tags = ["wrong", "too long"]
    project.guidelines = "# Be kind\n\n- and [brief](https://example.org)"
    project.save()
    start_round(4, texts=["**One** `two`", "```py\nprint(3)\n```", "$x^2$", "| a |\n|-|\n| b |"])
    return say(
        "lena",
        *("B", "AD", "C"),
        unacceptable={"C": "rude"},
        ratings={"helpful": {"A": 4}},
        tags=["wrong"],
        rationale="Because.",
        demonstration="Better.",
    )


def test_axe_on_the_labelers_pages(visits: Visits, busy_project: int) -> None:
    page = visits.page("lena")
    found = check(visits.page(), "/", "[data-testid=sign-in-form]")
    found += check(page, "/", "[data-testid=recent-rankings]")
    found += check(page, "/rankings", "[data-testid=my-rankings]")
    found += check(page, f"/rankings/{busy_project}", "[data-testid=said]")
    page.get_by_test_id("edit-ranking").click()
    found += check(page, "", "[data-testid=dock]")
    page.goto("/label/tone")
    bench = Workbench(page)
    bench.wait_for_task()
    bench.rank("B", "AC")
    bench.press("x")
    page.get_by_test_id("better-blank").click()
    found += check(page, "", "[data-testid=better-answer]")
    bench.press("Escape")
    for key, name in {"s": "skip", "f": "flag", "g": "guidelines", "?": "keys"}.items():
        bench.press(key)
        found += check(page, "", f"[data-testid=dialog-{name}]")
        bench.press("Escape")
    assert not found, "\n".join(found)


def test_axe_on_a_phone_and_in_an_empty_queue(visits: Visits, busy_project: int) -> None:
    phone = visits.page("lena", **PHONE)
    found = check(phone, "/label/tone", "[data-testid=dock]")
    found += check(phone, "/", "[data-testid=queue-tone]")
    ada = visits.page("ada", **PHONE)
    found += check(ada, "/projects/tone/rounds/1", "[data-testid=round-labelers]")
    found += check(ada, "/projects/tone/rankings", "[data-testid=rankings]")
    Project.objects.get().rounds.update(paused=True)
    found += check(visits.page("luis"), "/label/tone", "[data-testid=empty-queue]")
    assert not found, "\n".join(found)


def test_axe_on_the_console(visits: Visits, project: Project, busy_project: int) -> None:
    cast.member(project, "rita", Role.REVIEWER)
    page = visits.page("ada")
    pages = {
        "": "[data-testid=projects]",
        "/new": "[data-testid=project-form]",
        "/tone/overview": "[data-testid=count-rankings]",
        "/tone/prompts": "[data-testid=prompts]",
        f"/tone/prompts/{Prompt.objects.latest('id').pk}": ".conversation",
        "/tone/prompts/import": "[data-testid=import-drop]",
        "/tone/rounds": "[data-testid^=row-]",
        "/tone/rounds/new": "[data-testid=estimate-prompts]",
        "/tone/rounds/1": "[data-testid=round-labelers]",
        "/tone/rankings": "[data-testid=rankings]",
        f"/tone/rankings/{busy_project}": "[data-testid=ranking-record]",
        "/tone/comparisons": "[data-testid=comparisons]",
        "/tone/export": "[data-testid=export-rows-rankings]",
        "/tone/members": "[data-testid=members]",
        "/tone/settings": "[data-testid=settings-clean]",
        "/tone/audit": "table",
    }
    found = []
    for path, sign in pages.items():
        found += check(page, f"/projects{path}", sign)
    found += check(page, "/inference", "[data-testid=not-found]")  # which only staff may see
    User.objects.filter(username="ada").update(is_staff=True)
    found += check(page, "/inference", ".intro")
    assert not found, "\n".join(found)


def walk(page: Page, steps: int) -> list[str]:
    """Press Tab so often; what it reached. Every stop must show that it has the focus."""
    reached = []
    for _ in range(steps):
        page.keyboard.press("Tab")
        name, visible = page.evaluate(FOCUS)
        assert visible or name.startswith("BODY"), f"the focus on {name} is not to be seen"
        reached.append(name)
    return reached


def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    visits: Visits, busy_project: int
) -> None:
    page = visits.page("lena", "/")
    expect(page.get_by_test_id("queue-tone")).to_be_visible()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert walk(page, 3) == ["BUTTON leave-tone", "BUTTON guidelines-tone", "A start-tone"]
    page.keyboard.press("Enter")
    bench = Workbench(page)
    bench.wait_for_task()
    reached = walk(page, 60)
    for wanted in ("tool-skip", "rank-A", "unacceptable-D", "better-B", "rationale", "submit"):
        assert any(name.endswith(wanted) for name in reached), f"{wanted} is out of reach"
    assert any("rating-helpful" in name for name in reached)
    assert any("tag-wrong" in name for name in reached)


def test_ranking_with_buttons_by_tab_and_enter(visits: Visits, busy_project: int) -> None:
    bench = visits.bench("lena")
    page = bench.page
    page.get_by_test_id("rank-C").focus()
    page.keyboard.press("Enter")
    bench.expect_order("C")
    page.get_by_test_id("tie-A").focus()
    page.keyboard.press("Space")
    bench.expect_order("CA")


def test_a_dialog_keeps_the_focus_and_gives_it_back(visits: Visits, busy_project: int) -> None:
    bench = visits.bench("lena")
    page = bench.page
    page.get_by_test_id("tool-skip").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_test_id("dialog-skip")
    expect(dialog).to_be_visible()
    for _ in range(8):
        page.keyboard.press("Tab")
        assert dialog.evaluate(
            "d => d.contains(document.activeElement) || !document.hasFocus()"
        ) or (page.evaluate("document.activeElement === document.body"))
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_test_id("tool-skip")).to_be_focused()


def test_the_theme_can_be_chosen(visits: Visits, project: Project) -> None:
    page = visits.page("lena", "/")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(background)
    page.get_by_test_id("account-menu").click()
    page.get_by_test_id("theme-dark").locator("..").click()
    page.wait_for_function(f"light => {background} !== light", arg=light)
    page.reload()
    expect(page.get_by_test_id("account-menu")).to_be_visible()
    assert page.evaluate(background) != light
