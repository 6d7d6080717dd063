"""The console: the project's model, what it learned from, and how it becomes another one."""

from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from annotate.models import Project, Ranking, Role
from tests import cast
from tests.browser.conftest import Say, StartRound, Visits
from tests.browser.screen import eventually
from tests.browser.test_accessibility import PHONE, check
from tests.browser.trained import Trained
from tests.lineage.conftest import answered_by
from training.models import (
    Evaluation,
    EvaluationState,
    Promotion,
    PromotionState,
    Rebuild,
    Snapshot,
    SnapshotRanking,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
MODELS = "/projects/tone/models"


@pytest.fixture
def trained(project: Project, tmp_path: Path) -> Trained:
    return Trained(project, tmp_path)


def test_what_is_in_use_and_why(visits: Visits, trained: Trained) -> None:
    page = visits.page("ada", MODELS)
    current = page.get_by_test_id("current-model")
    expect(current).to_have_attribute("data-adapter", "2")
    expect(page.get_by_test_id("current-since")).to_contain_text("by ada, on evaluation 1")
    expect(current).to_contain_text("tone/current")
    adapters = page.get_by_test_id("adapters")
    expect(adapters.get_by_test_id("row-2")).to_contain_text("75%")
    expect(adapters.get_by_test_id("row-2")).to_contain_text("on 1 replica")
    expect(adapters.get_by_test_id("row-1")).to_contain_text("judges others")
    expect(adapters.get_by_test_id("row-3")).to_contain_text("not evaluated")
    expect(page.get_by_test_id("serving-Server 1")).to_contain_text("1 of 2 places")
    expect(page.get_by_test_id("promotions")).to_contain_text("Better at being brief.")


def test_a_promotion_is_followed_to_its_end(visits: Visits, trained: Trained) -> None:
    page = visits.page("ada", MODELS)
    page.get_by_test_id("promote").click()
    expect(page.get_by_test_id("promote-adapter")).to_have_value("3")
    page.get_by_test_id("stale-regenerate").check()
    page.get_by_test_id("promote-reason").fill("It won.")
    page.get_by_test_id("promote-confirm-yes").click()
    swap = page.get_by_test_id("swap-state")
    expect(swap).to_have_attribute("data-state", "queued")
    made = Promotion.objects.latest("number")
    assert (made.adapter, made.stale, made.reason) == (trained.second, "regenerate", "It won.")
    expect(page.get_by_test_id("roll-back")).to_be_disabled()
    Promotion.objects.filter(pk=made.pk).update(
        state=PromotionState.SWAPPING, message="vllm-1 loads it."
    )
    expect(swap).to_have_attribute("data-state", "swapping")
    expect(swap).to_contain_text("vllm-1 loads it.")
    Promotion.objects.filter(pk=made.pk).update(
        state=PromotionState.DONE, message="", finished_at=timezone.now()
    )
    expect(page.get_by_test_id("current-model")).to_have_attribute("data-adapter", "3")
    expect(swap).to_have_count(0)


def test_rolling_back_says_where_to(visits: Visits, trained: Trained) -> None:
    trained.promoted(trained.second, previous=trained.first)
    page = visits.page("ada", MODELS)
    page.get_by_test_id("roll-back").click()
    expect(page.get_by_test_id("roll-back-confirm")).to_contain_text("becomes Adapter 2 again")
    page.get_by_test_id("roll-back-confirm-yes").click()
    expect(page.get_by_test_id("swap-state")).to_have_attribute("data-state", "queued")
    assert Promotion.objects.latest("number").adapter == trained.first


def test_a_swap_that_failed_says_so(visits: Visits, trained: Trained) -> None:
    failed = trained.promoted(trained.second, previous=trained.first)
    words = "vllm-1 answered with other weights than it was given."
    Promotion.objects.filter(pk=failed.pk).update(state=PromotionState.FAILED, message=words)
    page = visits.page("ada", MODELS)
    swap = page.get_by_test_id("swap-state")
    expect(swap).to_contain_text(words)
    expect(swap).to_contain_text("Adapter 2 still answers")
    expect(page.get_by_test_id("current-model")).to_have_attribute("data-adapter", "2")


def test_the_leaderboard_is_a_table_and_a_file(
    visits: Visits, trained: Trained, project: Project, say: Say
) -> None:
    cast.add_prompts(project, 3)
    answered_by(project, trained.ada, cast.served_model(), cast.served_model("other-model"), k=2)
    say("lena", "A", "B")
    say("lena", "A", "B")
    page = visits.page("ada", MODELS)
    board = page.get_by_test_id("leaderboard")
    expect(board.locator("tbody tr")).to_have_count(2)
    expect(board.locator("tbody tr").filter(has_text="other-model")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_test_id("leaderboard-csv").click()
    text = download.value.path().read_text()
    assert text.splitlines()[0] == "Model,Rating,low,high,Comparisons,Won,Tied,Lost"


def test_an_adapter_its_card_and_its_files(visits: Visits, trained: Trained) -> None:
    page = visits.page("ada", f"{MODELS}/adapters/2")
    expect(page.get_by_test_id("standing")).to_have_attribute("data-state", "current")
    expect(page.get_by_test_id("adapter-facts")).to_contain_text("base-model@")
    card = page.get_by_test_id("adapter-card")
    expect(card.get_by_role("heading", name="Lineage")).to_be_visible()
    expect(card).not_to_contain_text("base_model:")
    expect(page.get_by_test_id("evaluations")).to_contain_text("75%")
    with page.expect_download() as download:
        page.get_by_test_id("adapter-files").get_by_text("adapter_config.json").click()
    assert "peft_type" in download.value.path().read_text()


def test_evaluating_again(visits: Visits, trained: Trained) -> None:
    page = visits.page("ada", f"{MODELS}/adapters/3")
    page.get_by_test_id("evaluate").click()
    expect(page.get_by_test_id("evaluate-incumbent")).to_have_value("2")
    expect(page.get_by_test_id("evaluate-judge")).to_have_value("1")
    page.get_by_test_id("evaluate-prompts").fill("5000")
    page.get_by_test_id("evaluate-start").click()
    expect(page.get_by_test_id("evaluate-dialog")).to_be_visible()
    page.get_by_test_id("evaluate-prompts").fill("8")
    page.get_by_test_id("evaluate-start").click()
    expect(page.get_by_test_id("evaluation-state")).to_have_attribute("data-state", "queued")
    made = Evaluation.objects.latest("number")
    assert (made.candidate, made.incumbent, made.judge) == (
        trained.second,
        trained.first,
        trained.judge,
    )
    assert made.settings["prompts"] == 8


def test_an_evaluation_is_followed_and_read(visits: Visits, trained: Trained) -> None:
    trained.policy(gate={"min_win_rate": 0.6, "max_kl": 0.01})
    going = trained.evaluated(trained.second, trained.first, EvaluationState.ANSWERING)
    trained.answer(going, trained.prompts[0], 0)
    page = visits.page("ada", f"{MODELS}/evaluations/2")
    expect(page.get_by_test_id("answering-progress")).to_have_attribute("data-done", "2")
    Evaluation.objects.filter(pk=going.pk).update(
        state=EvaluationState.READY, report=trained.report(), finished_at=timezone.now()
    )
    expect(page.get_by_test_id("win-rate")).to_contain_text(
        "wins 75% of 12 prompts against Adapter 2"
    )
    expect(page.get_by_test_id("gate")).to_have_attribute("data-passed", "false")
    expect(page.get_by_test_id("verdict-max_kl")).to_contain_text("Not passed")
    expect(page.get_by_test_id("verdict-min_win_rate")).not_to_contain_text("Not passed")
    expect(page.get_by_test_id("accuracy-chart")).to_contain_text("Labelers with each other")
    expect(page.get_by_test_id("drift-chart")).to_contain_text("the spec names no demonstrations")
    expect(page.get_by_test_id("sides")).to_contain_text("Tokens of an answer")


def test_answers_side_by_side(visits: Visits, trained: Trained) -> None:
    page = visits.page("ada", f"{MODELS}/evaluations/1")
    pairs = page.get_by_test_id("answer-pair")
    expect(pairs).to_have_count(10)
    page.get_by_test_id("answers-more").click()
    expect(pairs).to_have_count(12)
    expect(page.locator("[data-testid=answer-pair][data-better=incumbent]")).to_have_count(3)
    expect(pairs.first.get_by_test_id("answer-candidate")).to_contain_text("reward")


def test_an_evaluation_is_canceled_and_taken_up_again(visits: Visits, trained: Trained) -> None:
    trained.evaluated(trained.second, None, EvaluationState.JUDGING)
    page = visits.page("ada", f"{MODELS}/evaluations/2")
    page.get_by_test_id("evaluation-cancel").click()
    page.get_by_test_id("evaluation-cancel-confirm-yes").click()
    state = page.get_by_test_id("evaluation-state")
    expect(state).to_have_attribute("data-state", "canceled")
    page.get_by_test_id("evaluation-retry").click()
    expect(state).not_to_have_attribute("data-state", "canceled")


@pytest.fixture
def taught(trained: Trained, start_round: StartRound, say: Say) -> Ranking:
    """Lena's ranking in round 1, which is in the snapshot that all adapters learned from."""
    start_round(2)
    ranking = Ranking.objects.get(pk=say("lena"))
    SnapshotRanking.objects.create(snapshot=trained.snapshot, ranking=ranking)
    return ranking


def expect_lineage(page: Page) -> None:
    for node in ("round-1", "snapshot-1", "run-2", "adapter-2", "promotion-1"):
        expect(page.get_by_test_id(f"node-{node}")).to_have_count(1)


def test_lineage_as_a_graph_and_as_a_table(
    visits: Visits, trained: Trained, taught: Ranking
) -> None:
    page = visits.page("ada", f"{MODELS}/lineage?node=adapter:2")
    expect_lineage(page)
    node = page.get_by_test_id("node-adapter-2")
    expect(node).to_be_in_viewport()
    page.get_by_test_id("node-snapshot-1").focus()
    expect(page.locator("a.node.chosen")).to_contain_text("Snapshot 1")
    node.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{MODELS}/adapters/2")
    page.go_back()
    page.get_by_test_id("lineage-view").click()
    rows = page.get_by_test_id("lineage-table").locator("tbody tr")
    snapshot = rows.filter(has_text="1 ranking by 1 labeler")
    expect(snapshot.get_by_role("link", name="Round 1")).to_be_visible()
    expect(snapshot.get_by_role("link", name="Run 3")).to_be_visible()


def test_what_somebody_taught_is_found_taken_back_and_rebuilt(
    visits: Visits, trained: Trained, taught: Ranking
) -> None:
    page = visits.page("ada", f"{MODELS}/lineage")
    page.get_by_test_id("filter-who").select_option("labeler:lena")
    expect(page.get_by_test_id("touched-sum")).to_contain_text("3 adapters learned from it")
    expect(page.get_by_test_id("touched-adapter-2")).to_contain_text("In use")
    page.get_by_test_id("retract").click()
    page.get_by_test_id("retract-confirm-yes").click()
    expect(page.get_by_test_id("retract-confirm").get_by_role("alert")).to_be_visible()
    page.get_by_test_id("retract-reason").fill("They asked for it.")
    page.get_by_test_id("retract-confirm-yes").click()
    expect(page.get_by_test_id("retract-confirm")).to_have_count(0)
    expect(page.get_by_test_id("touched-sum")).to_contain_text("0 rankings")
    eventually(page, lambda: not Ranking.objects.get(pk=taught.pk).current)
    # Somebody else's ranking remains to learn from.
    assert Snapshot.objects.count() == 1


def test_rebuilding_without_somebody(
    visits: Visits, trained: Trained, taught: Ranking, say: Say
) -> None:
    SnapshotRanking.objects.create(
        snapshot=trained.snapshot, ranking=Ranking.objects.get(pk=say("luis"))
    )
    page = visits.page("ada", f"{MODELS}/lineage?who=labeler:lena")
    page.get_by_test_id("rebuild-2").click()
    page.get_by_test_id("rebuild-confirm-yes").click()
    expect(page.get_by_test_id("rebuilds")).to_contain_text("Adapter 2")
    assert Rebuild.objects.get().adapter == trained.first


def test_a_viewer_reads_and_changes_nothing(
    visits: Visits, trained: Trained, project: Project
) -> None:
    cast.member(project, "vera", Role.VIEWER)
    page = visits.page("vera", MODELS)
    expect(page.get_by_test_id("current-model")).to_be_visible()
    for button in ("promote", "roll-back"):
        expect(page.get_by_test_id(button)).to_have_count(0)
    page.goto(f"{MODELS}/adapters/3")
    expect(page.get_by_test_id("adapter-facts")).to_be_visible()
    expect(page.get_by_test_id("evaluate")).to_have_count(0)


def test_axe_on_the_models_pages(visits: Visits, trained: Trained, taught: Ranking) -> None:
    page = visits.page("ada")
    found = check(page, MODELS, "[data-testid=adapters]")
    page.get_by_test_id("promote").click()
    found += check(page, "", "[data-testid=promote-confirm]")
    found += check(page, f"{MODELS}/adapters/2", "[data-testid=adapter-files]")
    found += check(page, f"{MODELS}/evaluations/1", "[data-testid=answer-pair]")
    found += check(page, f"{MODELS}/lineage?who=labeler:lena", "[data-testid=touched-sum]")
    page.get_by_test_id("lineage-view").click()
    found += check(page, "", "[data-testid=lineage-table]")
    phone = visits.page("ada", **PHONE)
    found += check(phone, MODELS, "[data-testid=adapters]")
    found += check(phone, f"{MODELS}/evaluations/1", "[data-testid=answer-pair]")
    assert not found, "\n".join(found)
