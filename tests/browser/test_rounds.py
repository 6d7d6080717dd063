"""The console: planning a round, watching it, and steering it."""

import pytest
from playwright.sync_api import Page, expect

from annotate.models import FlagKind, Project, Round, RoundState, Task, TaskState, User
from annotate.services.claims import flag
from tests import cast
from tests.browser.conftest import Say, StartRound, Visits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def expect_state(page: Page, state: str, *, paused: bool = False) -> None:
    badge = page.get_by_test_id("round-state").first
    expect(badge).to_have_attribute("data-state", state)
    expect(badge).to_have_attribute("data-paused", str(paused).lower())


def expect_done(page: Page, bar: str, done: int, of: int) -> None:
    progress = page.get_by_test_id(f"{bar}-progress")
    expect(progress).to_have_attribute("data-done", str(done))
    expect(progress).to_have_attribute("data-of", str(of))


def test_the_wizard_estimates_and_warns_while_the_model_is_down(
    visits: Visits, project: Project
) -> None:
    cast.add_prompts(project, 6)
    cast.served_model()
    page = visits.page("ada", "/projects/tone/rounds/new")
    expect(page.get_by_test_id("round-model-waiting")).to_contain_text("start the round anyway")
    chosen = page.get_by_test_id("source-model-0")
    expect(chosen).to_have_value("current")
    expect(chosen.locator("option:checked")).to_contain_text("Current model (base-model)")
    warnings = page.get_by_test_id("warnings").get_by_role("listitem")
    expect(warnings.filter(has_text="writing begins then")).to_have_count(1)
    expect(page.get_by_test_id("estimate-completions")).to_have_text("24")
    page.get_by_test_id("round-k").select_option("3")
    expect(page.get_by_test_id("estimate-completions")).to_have_text("18")
    page.get_by_test_id("round-sample").fill("2")
    page.get_by_test_id("round-overlap").fill("4")
    expect(page.get_by_test_id("estimate-prompts")).to_have_text("2")
    expect(page.get_by_test_id("estimate-rankings")).to_have_text("8")
    expect(warnings.filter(has_text="only 3 may label")).to_have_count(1)
    page.get_by_test_id("source-add").click()
    page.get_by_test_id("source-temperature-1").fill("0")
    expect(warnings.filter(has_text="At temperature 0")).to_have_count(1)
    page.get_by_test_id("source-max_tokens-0").fill("")
    expect(page.get_by_test_id("round-start")).to_be_disabled()
    page.get_by_test_id("source-max_tokens-0").fill("64")
    page.get_by_test_id("round-draft").click()
    expect_state(page, "draft")
    made = Round.objects.get()
    assert (made.k, made.overlap, made.sources.filter(follows=True).count()) == (3, 4, 2)
    page.get_by_test_id("round-start").click()
    expect_state(page, "generating")
    expect_done(page, "generation", 0, 6)
    expect(page.get_by_test_id("generation-waiting")).to_be_visible()


def test_a_round_without_prompts_leads_to_the_import(visits: Visits, project: Project) -> None:
    page = visits.page("ada", "/projects/tone/rounds/new")
    expect(page.get_by_role("main")).to_contain_text("Import prompts first")


def test_the_monitor_follows_by_itself(
    visits: Visits, project: Project, start_round: StartRound, say: Say
) -> None:
    cast.add_prompts(project, 3)
    round_ = cast.make_round(project, User.objects.get(username="ada"))
    Round.objects.update(state=RoundState.GENERATING)
    page = visits.page("ada", "/projects/tone/rounds/1")
    expect_done(page, "generation", 0, 12)
    cast.write_completions(round_)
    expect_done(page, "generation", 12, 12)
    expect_state(page, "labeling")
    say("lena", "B", "A", "CD")
    expect_done(page, "labeling", 1, 3)
    expect(page.get_by_test_id("round-labelers")).to_contain_text("lena")
    held = cast.claim(User.objects.get(username="luis"), project)
    flag(
        claim_id=held.claim_id,
        labeler_id=User.objects.get(username="luis").pk,
        kind=FlagKind.HARMFUL,
        note="rude to cats",
    )
    flags = page.get_by_test_id("round-flags")
    expect(flags).to_contain_text("rude to cats")
    say("luis")
    say("lena")
    expect(page.get_by_test_id("round-sentence")).to_contain_text("Everything is ranked")


def test_pause_resume_and_close(visits: Visits, start_round: StartRound, say: Say) -> None:
    start_round(2)
    say("lena")
    page = visits.page("ada", "/projects/tone/rounds/1")
    page.get_by_test_id("round-pause").click()
    expect_state(page, "labeling", paused=True)
    page.get_by_test_id("round-resume").click()
    expect_state(page, "labeling")
    page.get_by_test_id("round-close").click()
    dialog = page.get_by_test_id("round-close-confirm")
    expect(dialog).to_contain_text("1 ranking is still missing")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_test_id("round-close")).to_be_focused()
    expect_state(page, "labeling")
    page.keyboard.press("Enter")
    page.get_by_test_id("round-close-confirm-yes").click()
    expect_state(page, "closed")
    expect(page.get_by_test_id("round-sentence")).to_have_text("Closed with 1 ranking.")
    page.get_by_test_id("round-export").click()
    expect(page.get_by_test_id("filter-round")).to_have_value("1")


def test_cancel_and_repeat(visits: Visits, start_round: StartRound) -> None:
    start_round(2, k=3)
    page = visits.page("ada", "/projects/tone/rounds/1")
    page.get_by_test_id("round-cancel").click()
    page.get_by_test_id("round-cancel-confirm-yes").click()
    expect_state(page, "canceled")
    page.get_by_text("Repeat as a new round").click()
    expect(page.get_by_test_id("round-k")).to_have_value("3")
    page.goto("/projects/tone/rounds")
    expect(page.locator("[data-testid^='row-']")).to_have_count(1)


def test_failed_prompts_are_tried_again(visits: Visits, start_round: StartRound) -> None:
    start_round(3)
    failed = Task.objects.order_by("id")[:2]
    Task.objects.filter(pk__in=[task.pk for task in failed]).update(
        state=TaskState.FAILED, failure="This prompt is longer than the model can read."
    )
    page = visits.page("ada", "/projects/tone/rounds/1")
    failures = page.get_by_test_id("round-failures")
    expect(failures.locator("tbody tr")).to_have_count(2)
    expect(failures).to_contain_text("longer than the model can read")
    page.get_by_test_id("round-retry-failed").click()
    expect(failures).to_have_count(0)
    assert not Task.objects.filter(state=TaskState.FAILED).exists()


def test_the_overview_says_what_to_do_next(
    visits: Visits, project: Project, start_round: StartRound, say: Say
) -> None:
    page = visits.page("ada", "/projects/tone")
    expect(page.get_by_test_id("step-import")).to_have_attribute("data-done", "false")
    page.get_by_test_id("step-import-go").click()
    expect(page).to_have_url(page.url.split("/projects")[0] + "/projects/tone/prompts/import")
    start_round(1)
    say("lena")
    page.goto("/projects/tone/overview")
    for step in ("import", "round", "label"):
        expect(page.get_by_test_id(f"step-{step}")).to_have_attribute("data-done", "true")
    expect(page.get_by_test_id("count-comparisons")).to_contain_text("6")
    page.get_by_test_id("open-round-1").click()
    expect_done(page, "labeling", 1, 1)
