"""The console: making a project, its settings and its members."""

import pytest
from playwright.sync_api import Dialog, Page, expect

from annotate.models import Membership, Project, Role
from tests import cast
from tests.browser.conftest import Visits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def fill_in_a_project(page: Page) -> None:
    page.get_by_test_id("project-name").fill("Größe & Care")
    expect(page.get_by_test_id("project-slug")).to_have_value("grosse-care")
    page.get_by_test_id("project-guidelines").fill("# Hi\n\n**bold** and plain")
    preview = page.get_by_test_id("guidelines-preview")
    expect(preview.locator("strong")).to_have_text("bold")
    page.get_by_test_id("axis-add").click()
    page.get_by_test_id("axis-name-0").fill("Tone of voice")
    page.get_by_test_id("project-tags").fill("one, two")
    page.get_by_test_id("project-tags").press("Enter")
    page.get_by_test_id("project-overlap").fill("2")
    page.get_by_test_id("project-lease").fill("5")


def test_a_new_project(visits: Visits, project: Project) -> None:
    page = visits.page("ada", "/projects")
    expect(page.get_by_test_id("projects")).to_contain_text("Tone")
    page.get_by_test_id("project-new").click()
    fill_in_a_project(page)
    page.get_by_test_id("project-k").fill("12")
    page.get_by_test_id("project-create").click()
    assert page.get_by_test_id("project-k").evaluate("field => !field.validity.valid")
    page.get_by_test_id("project-k").fill("3")
    page.get_by_test_id("project-create").click()
    expect(page.get_by_test_id("step-import")).to_have_attribute("data-done", "false")
    assert page.url.endswith("/projects/grosse-care/overview")
    made = Project.objects.get(slug="grosse-care")
    assert (made.k_default, made.overlap, made.lease_seconds) == (3, 2, 300)
    assert made.tags == ["one", "two"]
    assert made.axes == [{"key": "tone_of_voice", "name": "Tone of voice", "min": 1, "max": 5}]
    assert made.memberships.get().role == Role.OWNER


def test_an_address_that_is_taken(visits: Visits, project: Project) -> None:
    page = visits.page("ada", "/projects/new")
    page.get_by_test_id("project-name").fill("Another")
    page.get_by_test_id("project-slug").fill("tone")
    page.get_by_test_id("project-create").click()
    expect(page.get_by_test_id("project-problem")).to_contain_text("“tone” is taken")
    expect(page.get_by_test_id("project-slug")).to_be_focused()
    asked: list[str] = []

    def refuse(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    page.get_by_role("link", name="Projects").first.click()
    assert "not saved" in asked[0]
    expect(page.get_by_test_id("project-name")).to_have_value("Another")
    page.get_by_test_id("project-slug").fill("tone-2")
    page.get_by_test_id("project-create").click()
    expect(page.get_by_test_id("step-import")).to_be_visible()


def test_settings_are_saved_or_discarded(visits: Visits, project: Project) -> None:
    page = visits.page("ada", "/projects/tone/settings")
    expect(page.get_by_test_id("settings-clean")).to_be_visible()
    page.get_by_test_id("project-strength").check()
    page.get_by_test_id("project-rationale").select_option("required")
    expect(page.get_by_test_id("settings-unsaved")).to_be_visible()
    page.get_by_test_id("settings-save").click()
    expect(page.get_by_test_id("settings-clean")).to_be_visible()
    page.reload()
    expect(page.get_by_test_id("project-strength")).to_be_checked()
    project.refresh_from_db()
    assert (project.strength, project.rationale) == (True, "required")
    page.get_by_test_id("project-name").fill("Something else")
    page.get_by_test_id("settings-discard").click()
    expect(page.get_by_test_id("project-name")).to_have_value("Tone")
    page.goto("/projects/tone/audit")
    expect(page.get_by_role("main")).to_contain_text("ada")


def test_members_come_change_and_go(visits: Visits, project: Project) -> None:
    cast.person("rita")
    page = visits.page("ada", "/projects/tone/members")
    page.get_by_test_id("member-username").fill("nobody")
    page.get_by_test_id("member-add").click()
    expect(page.get_by_test_id("member-form").get_by_role("alert")).to_be_visible()
    page.get_by_test_id("member-username").fill("rita")
    page.get_by_test_id("member-role").select_option("viewer")
    page.get_by_test_id("member-add").click()
    expect(page.get_by_test_id("role-rita")).to_have_value("viewer")
    page.get_by_test_id("role-rita").select_option("reviewer")
    expect(page.get_by_test_id("toast").last).to_contain_text("rita is Reviewer now")
    assert Membership.objects.get(user__username="rita").role == Role.REVIEWER
    page.get_by_test_id("remove-rita").click()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("role-rita")).to_be_visible()
    page.get_by_test_id("remove-rita").click()
    page.get_by_test_id("member-remove-yes").click()
    expect(page.get_by_test_id("role-rita")).to_have_count(0)
    assert not Membership.objects.filter(user__username="rita").exists()


def test_the_last_owner_stays(visits: Visits, project: Project) -> None:
    page = visits.page("ada", "/projects/tone/members")
    page.get_by_test_id("role-ada").select_option("labeler")
    expect(page.get_by_test_id("toast")).to_be_visible()
    expect(page.get_by_test_id("role-ada")).to_have_value("owner")
    assert Membership.objects.get(user__username="ada").role == Role.OWNER
