"""What a policy answered while it learned, as it is looked at: sorted, filtered, opened."""

import math
import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotate.models import Project, Role
from tests import cast
from tests.browser.conftest import Say, Visits
from tests.browser.learning import SPEC, freeze, make_adapter, make_run, rank_some
from tests.browser.test_accessibility import PHONE, check
from training.models import RunMetric, RunRollout, RunState, Snapshot, TrainedAdapter, TrainingRun

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
PATH = "/projects/tone/training/2"
ANSWER = "Of course! **Sound** scatters in fog, because each droplet <b>bends</b> it. "


@pytest.fixture
def snapshot(project: Project, say: Say) -> Snapshot:
    rank_some(project, say, prompts=6)
    return freeze(project)


@pytest.fixture
def judge(snapshot: Snapshot) -> TrainedAdapter:
    return make_adapter(make_run(snapshot, method="reward"))


@pytest.fixture
def run(snapshot: Snapshot, judge: TrainedAdapter) -> TrainingRun:
    """A run that is at work, with nothing answered yet."""
    rewards = [f"adapters/{judge.content_hash}", "rules:ends"]
    ppo = {"rewards": rewards, "reward_weights": [1.0, 0.5], "baseline": "critic"}
    spec = {**SPEC, "method": "ppo", "ppo": ppo}
    return make_run(snapshot, RunState.RUNNING, method="ppo", spec=spec, starts=1, judge=judge)


def answer(run: TrainingRun, first: int, last: int, *, a_step: int = 8) -> None:
    """Answers of some steps, as they are after a sync."""
    RunRollout.objects.bulk_create(
        RunRollout(run=run, place=step * 10_000 + number, mark="0" * 16, **_row(step, number))
        for step in range(first, last + 1)
        for number in range(a_step)
    )


def _row(step: int, number: int) -> dict[str, Any]:
    tokens = 20 + step * 2 + number * 7
    reward = round(math.sin(step * 2 + number) + step * 0.02, 4)
    question = f"Why does fog {number} muffle sound in step {step}? " + "Explain it simply. " * 9
    prompt = [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hello. What would you like to know?"},
        {"role": "user", "content": question},
    ]
    return {
        "step": step,
        "number": number,
        "prompt": prompt,
        "answer": ANSWER * (1 + number),
        "finished": number % 4 != 3,
        "tokens": tokens,
        "reward": reward,
        "rewards": {"reward_0": reward - 0.5, "reward_ends": 1.0},
        "score": reward * 1.4 - 0.2,
        "kl": round(0.02 * step * (1 + number), 4),
        "values": [round(reward * place / tokens + 0.1, 3) for place in range(tokens)],
        "shortened": False,
    }


def first_row(page: Page) -> Any:
    return page.get_by_test_id("rollouts").locator("tbody tr").first


def test_answers_are_sorted_filtered_and_opened(
    visits: Visits, project: Project, run: TrainingRun
) -> None:
    answer(run, 1, 9)
    cast.member(project, "vera", Role.VIEWER)
    page = visits.page("vera", PATH)
    rows = page.get_by_test_id("rollouts").locator("tbody tr")
    expect(rows).to_have_count(20)
    expect(first_row(page)).to_contain_text("Why does fog 0 muffle sound in step 9?")
    page.get_by_test_id("table-more").click()
    expect(rows).to_have_count(40)
    page.get_by_test_id("filter-order").select_option("reward_high")
    best = RunRollout.objects.order_by("-reward")[0]
    expect(first_row(page)).to_have_attribute("data-testid", f"row-{best.pk}")
    step = page.get_by_test_id("filter-step")
    step.fill("4")
    step.press("Enter")
    expect(rows).to_have_count(8)
    page.get_by_test_id("filter-order").select_option("longest")
    expect(first_row(page)).to_contain_text("Cut off")
    expect(first_row(page)).to_contain_text("77")
    first_row(page).get_by_test_id("rollout-open").click()
    dialog = page.get_by_test_id("rollout")
    expect(dialog).to_contain_text("Answer 8 of step 4")
    expect(page.get_by_test_id("rollout-prompt")).to_contain_text("What would you like to know?")
    expect(page.get_by_test_id("rollout-answer").locator("strong").first).to_have_text("Sound")
    sources = page.get_by_test_id("rollout-sources")
    expect(sources.get_by_role("link")).to_have_text("Adapter 1")
    expect(sources).to_contain_text("rules:ends")
    chart = dialog.get_by_test_id("chart-values")
    expect(chart.locator("canvas")).to_be_visible()
    chart.get_by_test_id("chart-table").click()
    expect(chart.locator("tbody tr")).to_have_count(77)
    page.reload()
    expect(dialog).to_contain_text("Answer 8 of step 4")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(rows).to_have_count(8)
    step.fill("99")
    step.press("Enter")
    expect(page.get_by_test_id("rollouts-none")).to_be_visible()
    page.get_by_test_id("filter-clear").click()
    expect(rows).to_have_count(20)


def test_the_first_answers_come_by_themselves_and_later_ones_are_offered(
    visits: Visits, run: TrainingRun
) -> None:
    page = visits.page("ada", PATH)
    expect(page.get_by_test_id("rollouts-empty")).to_contain_text("with the first step")
    answer(run, 1, 1)
    rows = page.get_by_test_id("rollouts").locator("tbody tr")
    expect(rows).to_have_count(8)
    answer(run, 2, 3)
    fresh = page.get_by_test_id("answers-fresh")
    expect(fresh).to_contain_text("up to step 3")
    page.wait_for_timeout(2_500)  # the run's own question is asked again meanwhile
    expect(rows).to_have_count(8)
    fresh.click()
    expect(rows).to_have_count(20)
    expect(fresh).to_have_count(0)


def test_a_list_that_does_not_come_can_be_asked_for_again(visits: Visits, run: TrainingRun) -> None:
    answer(run, 1, 1)
    page = visits.page("ada")
    page.route("**/rollouts?*", lambda route: route.fulfill(status=503, json={}))
    page.goto(PATH)
    failure = page.get_by_test_id("run-answers").get_by_test_id("failure")
    expect(failure).to_be_visible()
    page.unroute_all()
    failure.get_by_role("button").click()
    expect(page.get_by_test_id("rollouts").locator("tbody tr")).to_have_count(8)


def test_who_only_labels_reads_none_of_it(visits: Visits, run: TrainingRun) -> None:
    answer(run, 1, 1)
    page = visits.page("lena", PATH)
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    expect(page.get_by_test_id("run-answers")).to_have_count(0)
    assert page.request.get("/api/projects/tone/runs/2/rollouts").status == 403


def test_axe_on_answers(visits: Visits, run: TrainingRun) -> None:
    answer(run, 1, 3)
    RunMetric.objects.bulk_create(
        RunMetric(run=run, position=step - 1, values=_metrics(step)) for step in range(1, 31)
    )
    page = visits.page("ada")
    found = check(page, PATH, "[data-testid=rollouts]")
    for part in ("policy", "critic", "machine"):
        page.get_by_test_id(f"charts-{part}").locator("summary").click()
    expect(page.get_by_test_id("chart-value_loss").locator("canvas")).to_be_visible()
    found += check(page, "", "[data-testid=chart-clip] canvas")
    shoot(page, "desktop")
    first_row(page).get_by_test_id("rollout-open").click()
    found += check(page, "", "[data-testid=chart-values] canvas")
    shoot(page, "desktop-open")
    phone = visits.page("ada", **PHONE)
    found += check(phone, PATH, "[data-testid=rollouts]")
    assert phone.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    shoot(phone, "phone")
    first_row(phone).get_by_test_id("rollout-open").click()
    found += check(phone, "", "[data-testid=chart-values] canvas")
    body = phone.get_by_test_id("rollout").locator(".body")
    assert body.evaluate("each => each.scrollWidth - each.clientWidth") <= 0
    shoot(phone, "phone-open")
    assert not found, "\n".join(found)


def _metrics(step: int) -> dict[str, float]:
    wave = math.sin(step * 1.3) * 0.05
    return {
        "step": step,
        "steps": 30,
        "reward": step * 0.03 + wave,
        "reward_0": step * 0.02 + wave,
        "reward_ends": 0.5 + step * 0.02,
        "score": step * 0.04 + wave - 0.2,
        "kl": step * 0.2 + wave,
        "kl_coef": 0.05,
        "length": 60 + step,
        "end_rate": 0.7 + wave,
        "entropy": 2.1 - step * 0.02,
        "update_entropy": 2.0 - step * 0.02,
        "policy_loss": wave * 0.1,
        "clip_fraction": 0.1 + wave,
        "value_clip_fraction": 0.2 + wave,
        "approx_kl": 0.01 + wave * 0.01,
        "ratio": 1 + wave * 0.01,
        "importance": 1 - wave * 0.01,
        "mismatch_kl": 1e-6 * step,
        "value_loss": 0.5 / step,
        "explained_variance": 0.2 + step * 0.02,
        "value": step * 0.03,
        "lr": 1e-5,
        "grad_norm": 1 + wave,
        "critic_grad_norm": 2 + wave,
        "tokens_per_s": 40 + wave,
        "rollout_tokens_per_s": 80 + wave,
        "measure_tokens_per_s": 300 + wave,
        "update_tokens_per_s": 90 + wave,
        "rollout_wait_s": 3 + wave,
        "memory_mb": 900.0,
        "updates": 4,
        "alarms": 0,
    }


def shoot(page: Page, name: str) -> None:
    if folder := os.environ.get("SHOTS"):
        page.emulate_media(color_scheme="light")
        page.wait_for_timeout(300)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page="open" not in name)
