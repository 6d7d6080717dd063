"""Asking for a PPO run: its judge is needed, and where it samples is the machine's business."""

import pytest
from playwright.sync_api import expect

from annotate.environment import BUNDLED_MODEL
from annotate.models import Project
from tests.browser.conftest import Say, Visits
from tests.browser.learning import freeze, make_run, rank_some
from tests.browser.test_training import estimate_without_the_engine, expect_state
from training.models import RunState, Snapshot, TrainedAdapter, TrainingRun

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def snapshot(project: Project, say: Say) -> Snapshot:
    rank_some(project, say, prompts=6)
    return freeze(project)


def test_ppo_needs_a_reward_model_and_shows_no_server(
    visits: Visits, project: Project, snapshot: Snapshot
) -> None:
    page = visits.page("ada")
    estimate_without_the_engine(page)
    page.goto("/projects/tone/training/new")
    ppo = page.get_by_test_id("method-ppo")
    expect(ppo).to_be_disabled()
    expect(page.get_by_test_id("run-form")).to_contain_text(
        "It learns from a reward model, and the project has none: train one first."
    )

    judge = TrainedAdapter.objects.create(
        project=project,
        number=1,
        run=make_run(snapshot, method="reward"),
        base=BUNDLED_MODEL,
        content_hash="a" * 64,
        bytes=1,
    )
    page.reload()
    expect(ppo).to_be_enabled()
    ppo.check(force=True)
    chosen = page.get_by_test_id("run-judge")
    expect(chosen).to_have_value(str(judge.number))
    page.get_by_test_id("section-ppo").locator("summary").click()
    expect(page.get_by_test_id("spec-ppo.kl_coef")).to_be_visible()
    for name in ("server", "rewards", "reward_base"):
        expect(page.get_by_test_id(f"spec-ppo.{name}")).to_have_count(0)
    page.get_by_test_id("run-start").click()

    expect_state(page, "queued")
    run = TrainingRun.objects.get(method="ppo")
    assert run.judge == judge
    assert run.spec["ppo"]["server"] is None


def test_what_the_alarms_said_is_on_the_runs_page(visits: Visits, snapshot: Snapshot) -> None:
    warning = "The reward rises while answers become much longer."
    make_run(snapshot, RunState.FINISHED, method="ppo", warnings=[warning])
    page = visits.page("ada", "/projects/tone/training/1")
    expect(page.get_by_test_id("run-warnings")).to_contain_text(warning)
