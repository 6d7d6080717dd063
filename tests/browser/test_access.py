"""Who gets to see which page; Django's admin for staff."""

import pytest
from playwright.sync_api import Page, expect

from annotate.models import Project, Role, User
from tests import cast
from tests.browser.conftest import Say, StartRound, Visits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

MANAGE = ["prompts/import", "rounds/new", "loop/policy", "members", "settings", "audit"]
REVIEW = ["prompts", "rounds", "rounds/1"]
READ = ["rankings", "comparisons", "export", "models", "models/lineage", "loop"]


def expect_pages(page: Page, *, seen: list[str], hidden: list[str]) -> None:
    for name in hidden:
        page.goto(f"/projects/tone/{name}")
        expect(page.get_by_test_id("not-found"), name).to_be_visible()
    for name in seen:
        page.goto(f"/projects/tone/{name}")
        expect(page.get_by_role("main").locator("h1"), name).to_be_visible()
        expect(page.get_by_test_id("not-found"), name).to_have_count(0)


@pytest.mark.parametrize(
    ("username", "role", "seen"),
    [
        ("vera", Role.VIEWER, [*READ, "overview"]),
        ("rita", Role.REVIEWER, [*READ, *REVIEW, "overview"]),
        ("liv", Role.LABELER, ["overview"]),
        ("mallory", None, []),
    ],
)
def test_pages_by_role(
    visits: Visits,
    project: Project,
    start_round: StartRound,
    say: Say,
    username: str,
    role: Role | None,
    seen: list[str],
) -> None:
    start_round(1)
    say("lena")
    if role is None:
        cast.person(username)
    else:
        cast.member(project, username, role)
    page = visits.page(username)
    pages = [*MANAGE, *REVIEW, *READ, "overview"]
    expect_pages(page, seen=seen, hidden=[name for name in pages if name not in seen])


def test_a_reviewer_watches_but_does_not_steer(
    visits: Visits, project: Project, start_round: StartRound
) -> None:
    start_round(1)
    cast.member(project, "rita", Role.REVIEWER)
    page = visits.page("rita", "/projects/tone/rounds/1")
    expect(page.get_by_test_id("labeling-progress")).to_be_visible()
    for action in ("pause", "close", "cancel"):
        expect(page.get_by_test_id(f"round-{action}")).to_have_count(0)


def test_djangos_admin_for_staff(visits: Visits, project: Project) -> None:
    User.objects.filter(username="ada").update(is_staff=True, is_superuser=True)
    page = visits.page(path="/admin/")
    page.locator("[name=username]").fill("ada")
    page.locator("[name=password]").fill(cast.PASSWORD)
    page.locator("[name=password]").press("Enter")
    page.wait_for_url("**/admin/")
    page.goto("/admin/annotate/project/")
    page.locator("#result_list").get_by_role("link", name="Tone").click()
    expect(page.locator("[name=slug]")).to_have_value("tone")
    page.locator("[name=description]").fill("changed by staff")
    page.locator("[name=_save]").click()
    page.wait_for_url("**/admin/annotate/project/**")
    project.refresh_from_db()
    assert project.description == "changed by staff"
    page.goto("/admin/annotate/ranking/")
    expect(page.get_by_role("main").or_(page.locator("#content")).first).to_be_visible()


@pytest.mark.parametrize("username", ["", "lena"])
def test_djangos_admin_refuses_others(visits: Visits, project: Project, username: str) -> None:
    page = visits.page(username, "/admin/annotate/project/")
    assert "/admin/login/" in page.url
    expect(page.locator("[name=password]")).to_be_visible()
    expect(page.locator("#result_list")).to_have_count(0)
