"""Two people edit the same settings: nothing is lost, nobody replaces what they never saw."""

import pytest
from playwright.sync_api import expect

from annotate.models import Membership, Project, Role
from tests import cast
from tests.browser.conftest import Visits
from training.models import LoopPolicy

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
SETTINGS = "/projects/tone/settings"


@pytest.fixture
def bo(project: Project) -> None:
    cast.member(project, "bo", Role.ADMIN)


@pytest.mark.usefixtures("bo")
def test_settings_that_both_edit(visits: Visits, project: Project) -> None:
    ada, bo = visits.page("ada", SETTINGS), visits.page("bo", SETTINGS)
    ada.get_by_test_id("project-overlap").fill("3")
    ada.get_by_test_id("project-name").fill("Ada's")
    bo.get_by_test_id("project-name").fill("Bo's")
    bo.get_by_test_id("project-k").fill("5")
    bo.get_by_test_id("settings-save").click()
    expect(bo.get_by_test_id("settings-clean")).to_be_visible()

    ada.get_by_test_id("settings-save").click()

    told = ada.get_by_test_id("warnings")
    expect(told).to_contain_text("Somebody else changed “Name” too")
    expect(ada.get_by_test_id("project-name")).to_have_value("Ada's")
    expect(ada.get_by_test_id("project-overlap")).to_have_value("3")
    expect(ada.get_by_test_id("project-k")).to_have_value("5")
    project.refresh_from_db()
    assert (project.name, project.overlap, project.k_default) == ("Bo's", 1, 5)

    ada.get_by_test_id("settings-save").click()
    expect(ada.get_by_test_id("settings-clean")).to_be_visible()
    expect(told).to_have_count(0)
    project.refresh_from_db()
    assert (project.name, project.overlap, project.k_default) == ("Ada's", 3, 5)


@pytest.mark.usefixtures("bo")
def test_a_policy_that_both_edit(visits: Visits, project: Project) -> None:
    ada, bo = (visits.page(name, "/projects/tone/loop") for name in ("ada", "bo"))
    for page in (ada, bo):
        page.get_by_test_id("policy-new").click()
    ada.get_by_test_id("policy-comparisons").fill("40")
    bo.get_by_test_id("policy-gate-min_win_rate_low").fill("0.5")
    bo.get_by_test_id("policy-save").click()
    expect(bo.get_by_test_id("next-turn")).to_be_visible()

    ada.get_by_test_id("policy-save").click()

    expect(ada.get_by_test_id("warnings")).to_contain_text("taken into this form")
    expect(ada.get_by_test_id("policy-gate-min_win_rate_low")).to_have_value("0.5")
    ada.get_by_test_id("policy-save").click()
    expect(ada.get_by_test_id("next-turn")).to_be_visible()
    settings = LoopPolicy.objects.get().settings
    assert settings["trigger"]["comparisons"] == 40
    assert settings["gate"]["min_win_rate_low"] == 0.5


@pytest.mark.usefixtures("bo")
def test_a_role_that_another_admin_changed(visits: Visits, project: Project) -> None:
    lena = Membership.objects.filter(project=project, user__username="lena")
    page = visits.page("ada", "/projects/tone/members")
    page.get_by_test_id("role-lena").click()
    lena.update(role=Role.VIEWER)
    page.get_by_test_id("role-choice-reviewer").check()
    page.get_by_test_id("role-save").click()
    page.get_by_test_id("role-yes").click()
    expect(page.get_by_test_id("role-problem")).to_contain_text("changed the role of lena")

    page.keyboard.press("Escape")

    expect(page.get_by_test_id("role-lena")).to_contain_text("Viewer")
    assert lena.get().role == Role.VIEWER
