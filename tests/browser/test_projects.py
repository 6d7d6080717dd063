"""The console: making a project, its settings and its members."""

import pytest
from playwright.sync_api import Page, expect

from annotate.models import Membership, Project, Role, User
from annotate.services.invitations import invite
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
    page.get_by_role("link", name="Projects").first.click()
    expect(page.get_by_test_id("leave-dialog")).to_contain_text("not saved")
    page.get_by_test_id("leave-stay").click()
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


def test_who_may_not_create_projects_is_not_offered_it(visits: Visits, project: Project) -> None:
    page = visits.page("lena", "/projects")
    expect(page.get_by_test_id("projects")).to_contain_text("Tone")
    expect(page.get_by_test_id("project-new")).to_have_count(0)
    page.goto("/projects/new")
    expect(page.get_by_test_id("may-not-create")).to_contain_text("may not create projects")
    expect(page.get_by_test_id("project-form")).to_have_count(0)


def test_one_leaves_a_project_or_declines_it(visits: Visits, project: Project) -> None:
    ada, mallory = User.objects.get(username="ada"), cast.person("mallory")
    invite(project_id=project.pk, actor_id=ada.pk, username="mallory", role=Role.ADMIN)
    page = visits.page("mallory", "/")
    page.get_by_role("button", name="Decline").click()
    expect(page.get_by_test_id("no-queues")).to_be_visible()
    assert not Membership.objects.filter(user=mallory).exists()
    page = visits.page("lena", "/")
    page.get_by_test_id("leave-tone").click()
    page.get_by_test_id("leave-project-yes").click()
    expect(page.get_by_test_id("no-queues")).to_be_visible()
    assert not Membership.objects.filter(user__username="lena").exists()


def choose_role(page: Page, username: str, role: str) -> None:
    page.get_by_test_id(f"role-{username}").click()
    page.get_by_test_id(f"role-choice-{role}").check()
    page.get_by_test_id("role-save").click()


def test_members_come_change_and_go(visits: Visits, project: Project) -> None:
    cast.person("rita")
    page = visits.page("ada", "/projects/tone/members")
    page.get_by_test_id("member-username").fill("lena")
    page.get_by_test_id("member-add").click()
    expect(page.get_by_test_id("member-form").get_by_role("alert")).to_be_visible()
    for name in ("nobody", "rita"):
        page.get_by_test_id("member-username").fill(name)
        page.get_by_test_id("member-role").select_option("viewer")
        page.get_by_test_id("member-add").click()
        expect(page.get_by_test_id(f"invited-{name}")).to_contain_text("Viewer")
    page.get_by_test_id("take-back-nobody").click()
    expect(page.get_by_test_id("invited-nobody")).to_have_count(0)
    expect(page.get_by_test_id("role-rita")).to_have_count(0)
    hers = visits.page("rita", "/")
    expect(hers.get_by_test_id("invitations")).to_contain_text(
        "Ada asks you to take part in “Tone”"
    )
    hers.get_by_role("button", name="Accept").click()
    expect(hers.get_by_test_id("queue-tone")).to_be_visible()
    expect(hers.get_by_test_id("invitations")).to_have_count(0)
    page.reload()
    expect(page.get_by_test_id("invited")).to_have_count(0)
    expect(page.get_by_test_id("role-rita")).to_have_text("Viewer")
    choose_role(page, "rita", "reviewer")
    page.get_by_test_id("role-yes").click()
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
    choose_role(page, "ada", "labeler")
    expect(page.get_by_test_id("role-question")).to_contain_text("another owner or admin has to")
    page.get_by_test_id("role-yes").click()
    expect(page.get_by_test_id("role-problem")).to_contain_text("needs an owner or an admin")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("role-ada")).to_have_text("Owner")
    assert Membership.objects.get(user__username="ada").role == Role.OWNER


def test_a_role_changes_only_when_it_was_confirmed(visits: Visits, project: Project) -> None:
    page = visits.page("ada", "/projects/tone/members")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))

    def role() -> str:
        return Membership.objects.get(user__username="lena").role

    control = page.get_by_test_id("role-lena")
    control.focus()
    for key in ("ArrowUp", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("role-choice-labeler")).to_be_focused()
    for key in ("ArrowUp", "ArrowUp"):  # through reviewer to admin
        page.keyboard.press(key)
    expect(page.get_by_test_id("role-choice-admin")).to_be_checked()
    page.keyboard.press("Enter")
    # Rights grow: a question, which the second click of a double click does not answer.
    expect(page.get_by_test_id("role-question")).to_contain_text("Changes settings and members")
    page.get_by_test_id("role-yes").dispatch_event("click", {"detail": 2})
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    assert "PATCH" not in sent
    assert role() == Role.LABELER
    choose_role(page, "lena", "admin")
    page.get_by_test_id("role-yes").click()
    expect(control).to_have_text("Admin")
    # Fewer rights: done at once, and taken back from the message.
    choose_role(page, "lena", "reviewer")
    expect(control).to_have_text("Reviewer")
    assert role() == Role.REVIEWER
    toast = page.get_by_test_id("toast").filter(has_text="lena is Reviewer now")
    toast.get_by_role("button", name="Undo").click()
    expect(control).to_have_text("Admin")
    assert role() == Role.ADMIN
