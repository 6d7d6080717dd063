"""The console: when the loop turns, what a turn does, and deciding on its candidate."""

import re
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from annotate.models import Project, Role
from tests import cast
from tests.browser.conftest import Visits
from tests.browser.screen import eventually
from tests.browser.test_accessibility import PHONE, check
from tests.browser.trained import Trained
from training.models import LoopPolicy, LoopStep, Promotion, Stage, StepState

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
LOOP = "/projects/tone/loop"
EVENTS = (
    (Stage.SNAPSHOT, "Snapshot 1 is to be built."),
    (Stage.SNAPSHOT, "Snapshot 1 is ready after 8 s: 9 rankings."),
    (Stage.JUDGE, "Run 1 made adapter 1 in 3 min."),
)


@pytest.fixture
def trained(project: Project, tmp_path: Path) -> Trained:
    return Trained(project, tmp_path)


def test_the_first_policy(visits: Visits, project: Project) -> None:
    page = visits.page("ada", LOOP)
    expect(page.get_by_test_id("loop-empty")).to_contain_text("Let the model improve itself")
    page.get_by_test_id("policy-new").click()
    words = page.get_by_test_id("policy-words")
    expect(words).to_contain_text("begins by hand only")
    page.get_by_test_id("policy-active").check()
    page.get_by_test_id("policy-comparisons").fill("40")
    expect(words).to_contain_text("A turn begins after 40 new comparisons.")
    page.get_by_test_id("policy-gate-min_win_rate_low").fill("0.5")
    page.get_by_test_id("policy-humans").check()
    page.get_by_test_id("policy-promotion").select_option("automatic")
    expect(words).to_contain_text("promoted by itself if its win rate is at least 50%")
    page.get_by_test_id("policy-save").click()
    expect(page.get_by_test_id("next-turn")).to_have_attribute("data-active", "true")
    expect(page.get_by_test_id("next-text")).to_contain_text("40 more comparisons")
    settings = LoopPolicy.objects.get().settings
    assert settings["trigger"]["comparisons"] == 40
    assert settings["humans"] == {"rankings": 50, "min_win_rate": 0.5}
    assert settings["gate"]["min_win_rate_low"] == 0.5


def test_ppo_is_chosen_before_there_is_a_reward_model_if_the_step_trains_one(
    visits: Visits, project: Project
) -> None:
    page = visits.page("ada", LOOP)
    page.get_by_test_id("policy-new").click()
    method = page.get_by_test_id("policy-method")
    ppo = method.locator("option[value=ppo]")
    expect(ppo).to_be_enabled()
    page.get_by_test_id("policy-judge").uncheck()
    expect(ppo).to_be_disabled()
    page.get_by_test_id("policy-judge").check()
    method.select_option("ppo")
    page.get_by_test_id("policy-save").click()
    expect(page.get_by_test_id("next-turn")).to_be_visible()
    settings = LoopPolicy.objects.get().settings
    assert (settings["run"]["method"], settings["judge"]["train"]) == ("ppo", True)


def test_what_is_wrong_stands_at_its_field(visits: Visits, trained: Trained) -> None:
    trained.policy()
    page = visits.page("ada", f"{LOOP}/policy")
    page.get_by_text("What differs from the preset").first.click()
    values = page.get_by_test_id("policy-values")
    values.fill("{lr: 1}")
    expect(page.get_by_text("not a JSON object")).to_be_visible()
    expect(page.get_by_test_id("policy-save")).to_be_disabled()
    values.fill('{"method": "sft"}')
    page.get_by_test_id("policy-save").click()
    expect(page.get_by_text("decided by the other fields").first).to_be_visible()
    expect(values).to_be_focused()
    values.fill('{"optimizer": {"lr": 0.0001}}')
    page.get_by_test_id("policy-save").click()
    expect(page.get_by_test_id("next-turn")).to_be_visible()
    assert LoopPolicy.objects.get().settings["run"]["values"] == {"optimizer": {"lr": 0.0001}}


def test_switching_it_off_and_stepping_by_hand(visits: Visits, trained: Trained) -> None:
    trained.policy()
    page = visits.page("ada", LOOP)
    page.get_by_test_id("loop-active").uncheck()
    expect(page.get_by_test_id("next-text")).to_contain_text("it turns by hand only")
    assert not LoopPolicy.objects.get().active
    page.get_by_test_id("step-now").click()
    expect(page.get_by_test_id("stage-snapshot")).to_have_attribute("data-state", "now")
    expect(page.get_by_test_id("stage-round")).to_have_attribute("data-state", "later")
    expect(page.get_by_test_id("step-now")).to_be_disabled()
    assert LoopStep.objects.get().cause == "ada asked for it."


def test_the_timeline_follows_the_step(visits: Visits, trained: Trained) -> None:
    trained.policy()
    step = trained.step(
        Stage.TRAIN,
        *EVENTS,
        snapshot=trained.snapshot,
        judge_run=trained.judge.run,
        run=trained.second.run,
        waiting_for="Run 3: training, step 12 of 40.",
    )
    page = visits.page("ada", LOOP)
    train = page.get_by_test_id("stage-train")
    expect(train).to_contain_text("step 12 of 40")
    snapshot = page.get_by_test_id("stage-snapshot")
    expect(snapshot).to_contain_text("2 min")
    expect(snapshot.get_by_role("link", name="Snapshot 1")).to_be_visible()
    expect(page.get_by_test_id("stage-judge").get_by_role("link", name="Adapter 1")).to_be_visible()
    LoopStep.objects.filter(pk=step.pk).update(waiting_for="Run 3: training, step 39 of 40.")
    expect(train).to_contain_text("step 39 of 40")
    page.get_by_test_id("step-pause").click()
    expect(train).to_have_attribute("data-state", "held")
    page.get_by_test_id("step-resume").click()
    expect(train).to_have_attribute("data-state", "now")
    page.get_by_test_id("step-cancel").click()
    page.get_by_test_id("step-cancel-confirm-yes").click()
    expect(page.get_by_test_id("step-state").first).to_have_attribute("data-state", "canceled")
    page.get_by_test_id("steps").get_by_test_id("row-1").get_by_role("link").click()
    page.wait_for_url(f"**{LOOP}/steps/1")
    expect(page.get_by_test_id("timeline")).to_be_visible()


def test_a_step_that_failed_says_why_and_is_tried_again(visits: Visits, trained: Trained) -> None:
    trained.policy()
    words = "Run 3 failed: the graphics card ran out of memory."
    trained.step(
        Stage.TRAIN, *EVENTS, state=StepState.FAILED, message=words, finished_at=timezone.now()
    )
    page = visits.page("ada", LOOP)
    expect(page.get_by_test_id("timeline")).to_contain_text(words)
    page.get_by_test_id("step-retry").click()
    expect(page.get_by_test_id("step-state").first).to_have_attribute("data-state", "running")


def waiting(trained: Trained) -> LoopStep:
    """A step whose candidate passed the gate and waits for an admin."""
    trained.policy(gate={"min_win_rate": 0.5}, promotion="ask")
    return trained.step(
        Stage.PROMOTE,
        *EVENTS,
        (Stage.TRAIN, "Run 3 made adapter 3 in 12 min."),
        (Stage.EVALUATE, "Evaluation 2 is ready: win rate 75%."),
        (Stage.GATE, "The gate is passed."),
        snapshot=trained.snapshot,
        judge_run=trained.judge.run,
        run=trained.second.run,
        evaluation=trained.evaluated(trained.second, trained.first),
        waiting_for="An admin approves or rejects adapter 3.",
    )


def test_approving_with_the_evaluation_in_view(visits: Visits, trained: Trained) -> None:
    waiting(trained)
    page = visits.page("ada", LOOP)
    decision = page.get_by_test_id("decision")
    expect(decision).to_contain_text("Adapter 3 waits for a decision")
    expect(decision).to_contain_text("wins 75% of 12 prompts against Adapter 2")
    expect(decision.get_by_test_id("verdict-min_win_rate")).to_be_visible()
    rate = decision.get_by_test_id("grounds-rate")
    expect(rate).to_contain_text("on 12 held-out prompts")
    expect(rate).to_contain_text(re.compile(r"75% .*\d+% to \d+%"))
    expect(decision.get_by_test_id("warnings")).to_contain_text("One note.")
    expect(decision.get_by_test_id("gate")).to_contain_text("warning")
    decision.get_by_text("Answers side by side").click()
    expect(decision.get_by_test_id("answer-pair").first).to_be_visible()
    page.get_by_test_id("step-approve").click()
    page.get_by_test_id("step-approve-confirm-yes").click()
    expect(decision).to_have_count(0)
    eventually(page, lambda: Promotion.objects.filter(adapter=trained.second).exists())


def test_a_decision_is_told_wherever_an_admin_looks(visits: Visits, trained: Trained) -> None:
    page = visits.page("ada", "/projects")
    expect(page.get_by_test_id("projects")).to_be_visible()
    expect(page.get_by_test_id("decisions-waiting")).to_have_count(0)
    waiting(trained)
    for address in ("/projects", "/", "/projects/tone/overview"):
        page.goto(address)
        expect(page.get_by_test_id("decision-tone")).to_contain_text("Adapter 3 waits")
    expect(page.get_by_test_id("tab-mark")).to_contain_text("a decision waits")
    page.get_by_test_id("decision-tone").click()
    page.wait_for_url(f"**{LOOP}")
    page.get_by_test_id("step-reject").click()
    page.get_by_test_id("step-reject-confirm-yes").click()
    expect(page.get_by_test_id("tab-mark")).to_have_count(0)


def test_the_same_adapter_is_the_same_on_every_page(visits: Visits, trained: Trained) -> None:
    waiting(trained)
    page = visits.page("ada", LOOP)
    number = trained.second.number
    for address in (
        LOOP,
        f"/projects/tone/models/adapters/{number}",
        "/projects/tone/models",
        "/projects/tone/training",
    ):
        page.goto(address)
        found = page.get_by_test_id("standing").filter(has_text="Waits for a decision")
        expect(found.first).to_be_visible()


def test_rejecting(visits: Visits, trained: Trained) -> None:
    step = waiting(trained)
    page = visits.page("ada", LOOP)
    page.get_by_test_id("step-reject").click()
    page.get_by_test_id("step-reject-confirm-yes").click()
    expect(page.get_by_test_id("decision")).to_have_count(0)
    expect(page.get_by_test_id("step-state").first).to_contain_text("Not promoted")
    step.refresh_from_db()
    assert step.promoted is False


def test_a_viewer_reads_and_steers_nothing(
    visits: Visits, trained: Trained, project: Project
) -> None:
    waiting(trained)
    cast.member(project, "vera", Role.VIEWER)
    page = visits.page("vera", LOOP)
    expect(page.get_by_test_id("decision")).to_be_visible()
    for button in ("step-approve", "step-reject", "step-pause", "step-now", "loop-active"):
        expect(page.get_by_test_id(button)).to_have_count(0)
    page.goto(f"{LOOP}/policy")
    expect(page.get_by_test_id("not-found")).to_be_visible()


def test_axe_on_the_loop(visits: Visits, trained: Trained) -> None:
    waiting(trained)
    page = visits.page("ada")
    found = check(page, LOOP, "[data-testid=decision] figure")
    found += check(page, f"{LOOP}/policy", "[data-testid=policy-form]")
    found += check(page, f"{LOOP}/steps/1", "[data-testid=timeline]")
    phone = visits.page("ada", **PHONE)
    found += check(phone, LOOP, "[data-testid=decision] figure")
    found += check(phone, f"{LOOP}/policy", "[data-testid=policy-form]")
    assert not found, "\n".join(found)
