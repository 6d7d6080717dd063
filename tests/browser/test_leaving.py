"""What was entered and not saved is not lost by a link, Back, Forward, signing out or closing."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, Locator, Page, expect

from annotate.models import Project, Ranking
from tests.browser.conftest import Say, StartRound, Visits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def asked(page: Page) -> Locator:
    return page.get_by_test_id("leave-dialog")


def stay(page: Page, address: str) -> None:
    """The question is there, the address is still that of the form; stay on it."""
    expect(asked(page)).to_be_visible()
    page.wait_for_url(f"**{address}")
    page.get_by_test_id("leave-stay").click()
    expect(asked(page)).to_have_count(0)
    page.wait_for_url(f"**{address}")


def go_back(page: Page) -> None:
    page.evaluate("history.back()")


def open_by_link(page: Page, first: str, then: str) -> None:
    """Two addresses of the site in one document, so that Back loads nothing."""
    page.goto(first)
    expect(page.get_by_role("main").locator("h1")).to_be_visible()
    page.evaluate(
        """path => {
            const link = Object.assign(document.createElement("a"), { href: path });
            document.body.append(link); link.click(); link.remove();
        }""",
        then,
    )
    page.wait_for_url(f"**{then}")


def test_back_and_forward_from_the_settings(visits: Visits, project: Project) -> None:
    page = visits.page("ada")
    open_by_link(page, "/projects", "/projects/tone/audit")
    open_by_link_here(page, "/projects/tone/settings")
    name = page.get_by_test_id("project-name")
    name.fill("Half done")
    go_back(page)
    stay(page, "/projects/tone/settings")
    expect(name).to_have_value("Half done")
    page.evaluate("history.go(-2)")
    stay(page, "/projects/tone/settings")
    expect(name).to_have_value("Half done")
    go_back(page)
    page.get_by_test_id("leave-leave").click()
    page.wait_for_url("**/projects/tone/audit")
    expect(page.get_by_test_id("audit")).to_be_visible()
    project.refresh_from_db()
    assert project.name == "Tone"
    # And Forward from a form: the one after it is still there.
    page.evaluate("history.forward()")
    page.wait_for_url("**/settings")
    expect(name).to_have_value("Tone")
    go_back(page)
    page.wait_for_url("**/audit")
    go_back(page)
    page.wait_for_url("**/projects")
    expect(asked(page)).to_have_count(0)


def open_by_link_here(page: Page, then: str) -> None:
    page.locator(f"a[href='{then}']").first.click()
    page.wait_for_url(f"**{then}")


def a_round(page: Page) -> Locator:
    field = page.get_by_test_id("round-overlap")
    field.fill("3")
    return field


def a_policy(page: Page) -> Locator:
    page.get_by_test_id("policy-active").check()
    return page.get_by_test_id("policy-active")


def a_snapshot(page: Page) -> Locator:
    field = page.get_by_test_id("snapshot-overlap")
    field.fill("3")
    return field


def an_import(page: Page) -> Locator:
    page.get_by_test_id("import-paste").locator("..").click()
    field = page.get_by_test_id("import-text")
    field.fill('{"prompt": "What is it?"}')
    return field


def a_member(page: Page) -> Locator:
    field = page.get_by_test_id("member-username")
    field.fill("rita")
    return field


def guidelines(page: Page) -> Locator:
    field = page.get_by_test_id("project-guidelines")
    field.fill("Be strict.")
    return field


@pytest.mark.parametrize(
    ("path", "enter"),
    [
        ("rounds/new", a_round),
        ("loop/policy", a_policy),
        ("datasets/new", a_snapshot),
        ("prompts/import", an_import),
        ("members", a_member),
        ("settings", guidelines),
    ],
)
def test_every_form_asks_for_links_and_back_and_keeps_what_it_holds(
    visits: Visits,
    start_round: StartRound,
    say: Say,
    path: str,
    enter: Callable[[Page], Locator],
) -> None:
    start_round(1)
    say("lena")
    page = visits.page("ada")
    address = f"/projects/tone/{path}"
    open_by_link(page, "/projects", address)
    expect(page.get_by_role("main").locator("h1")).to_be_visible()
    # Nothing entered, nothing asked.
    page.wait_for_timeout(300)
    go_back(page)
    page.wait_for_url("**/projects")
    page.evaluate("history.forward()")
    page.wait_for_url(f"**{address}")
    field = enter(page)
    before = field.input_value() if field.get_attribute("type") != "checkbox" else "checked"
    go_back(page)
    stay(page, address)
    page.get_by_role("link", name="Projects").first.click()
    stay(page, address)
    if before == "checked":
        expect(field).to_be_checked()
    else:
        expect(field).to_have_value(before)
    go_back(page)
    page.get_by_test_id("leave-leave").click()
    page.wait_for_url("**/projects")


def test_a_past_ranking_that_is_being_changed(
    visits: Visits, start_round: StartRound, say: Say
) -> None:
    start_round(1)
    ranking = say("lena", "A", "B", "C", "D")
    page = visits.page("lena")
    address = f"/rankings/{ranking}"
    open_by_link(page, "/rankings", address)
    page.get_by_test_id("edit-ranking").click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    card = page.get_by_test_id("response-card-A")
    place = card.get_attribute("data-place")
    go_back(page)
    stay(page, address)
    page.get_by_test_id("stop-editing").click()
    page.get_by_test_id("toast").get_by_role("button", name="Undo").click()
    expect(page.get_by_test_id("dock")).to_be_visible()
    expect(card).to_have_attribute("data-place", str(place))
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("toast")).to_contain_text("saved as revision 2")
    go_back(page)
    page.wait_for_url("**/rankings")
    expect(asked(page)).to_have_count(0)
    assert Ranking.objects.get(current=True).revision == 2


def test_signing_out_and_closing_the_tab(visits: Visits, project: Project) -> None:
    page = visits.page("ada", "/projects/tone/settings")
    page.get_by_test_id("project-name").fill("Half done")
    page.get_by_test_id("account-menu").click()
    page.get_by_test_id("sign-out").click()
    stay(page, "/projects/tone/settings")
    expect(page.get_by_test_id("project-name")).to_have_value("Half done")
    kinds: list[str] = []

    def note(dialog: Dialog) -> None:
        kinds.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", note)
    page.close(run_before_unload=True)
    page.wait_for_timeout(500)
    assert kinds == ["beforeunload"]
    page.get_by_test_id("settings-discard").click()
    page.reload()
    assert kinds == ["beforeunload"]
