"""Training: asking for a run, watching it learn, stopping it, going on."""

import csv
import io
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from annotate.models import Project, Role
from tests import cast
from tests.browser.conftest import Say, Visits
from tests.browser.learning import (
    MADE,
    MEASURED,
    MEMORY,
    SPEC,
    freeze,
    log_steps,
    make_adapter,
    make_run,
    rank_some,
)
from tests.browser.screen import eventually
from tests.browser.test_accessibility import PHONE, check
from training.models import RunMetric, RunState, Snapshot, TrainingRun

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def snapshot(project: Project, say: Say) -> Snapshot:
    rank_some(project, say, prompts=6)
    return freeze(project)


def expect_state(page: Page, state: str) -> None:
    badge = page.get_by_test_id("run-state").first
    expect(badge).to_have_attribute("data-state", state)


def estimate_without_the_engine(page: Page, *, fits: bool = True) -> None:
    """The preset's spec and an estimate at once: the real one takes seconds of importing."""

    def answer(route: Route) -> None:
        body = route.request.post_data_json
        assert body is not None
        asked = body["values"]
        lr = asked.get("optimizer", {}).get("lr", 5e-5)
        pack = asked.get("training", {}).get("tokens_per_pack", 2048)
        spec = {
            **SPEC,
            "base": {**SPEC["base"], "gradient_checkpointing": False},
            "optimizer": {"lr": lr},
            "training": {**SPEC["training"], "tokens_per_pack": pack},
        }
        small = fits or pack < 2048
        room = {"available_mb": MEMORY["available_mb"], "fits": small}
        told = {"spec": spec, "left_out": [], "warnings": []}
        route.fulfill(json={**told, "estimate": {**MEMORY, **room}, **room})

    page.route("**/runs/estimate", answer)


def form_of_a_run(visits: Visits, section: str) -> Page:
    """A new run's form with its first estimate, and one section of the settings open."""
    page = visits.page("ada")
    estimate_without_the_engine(page)
    page.goto("/projects/tone/training/new")
    expect(page.get_by_test_id("memory-total")).to_be_visible()
    page.get_by_test_id(f"section-{section}").locator("summary").click()
    return page


def test_a_run_is_asked_for_with_its_memory_known(
    visits: Visits, project: Project, snapshot: Snapshot
) -> None:
    page = visits.page("ada", "/projects/tone/training")
    expect(page.get_by_test_id("runs-empty")).to_be_visible()
    page.get_by_test_id("run-new").click()
    # The real engine reads the base's configuration in a process of its own.
    expect(page.get_by_test_id("memory-total")).to_be_visible()
    expect(page.get_by_test_id("method-sft")).to_be_disabled()
    expect(page.get_by_test_id("method-rloo")).to_be_disabled()
    page.get_by_test_id("run-start").click()
    expect_state(page, "queued")
    run = TrainingRun.objects.get()
    assert (run.method, run.snapshot_id, run.preset) == ("dpo", snapshot.pk, "135m-cpu")
    assert run.estimate is not None


def test_fields_are_changed_marked_and_reset(visits: Visits, snapshot: Snapshot) -> None:
    page = form_of_a_run(visits, "optimizer")
    rate = page.get_by_test_id("spec-optimizer.lr")
    entry = rate.locator("input")
    expect(entry).to_have_value("0.00005")
    entry.fill("2")
    expect(rate).to_contain_text("0 to 1")
    expect(page.get_by_test_id("run-start")).to_be_disabled()
    entry.fill("1e-4")
    expect(rate).to_have_attribute("data-changed", "true")
    expect(page.get_by_test_id("section-optimizer").locator("summary")).to_contain_text("1 change")
    page.get_by_test_id("spec-reset-optimizer.lr").click()
    expect(entry).to_have_value("0.00005")
    expect(rate).to_have_attribute("data-changed", "false")
    entry.fill("3e-4")
    page.get_by_test_id("section-training").locator("summary").click()
    page.get_by_test_id("spec-training.max_steps").locator("input").fill("12")
    expect(page.get_by_test_id("spec-training.epochs").locator("input")).to_have_value("")
    page.get_by_test_id("run-start").click()
    expect_state(page, "queued")
    spec = TrainingRun.objects.get().spec
    assert spec["optimizer"]["lr"] == 3e-4
    assert (spec["training"]["max_steps"], spec["training"]["epochs"]) == (12, None)


def test_what_a_preset_decides_stands_there_before_the_estimate(
    visits: Visits, snapshot: Snapshot
) -> None:
    page = visits.page("ada")
    page.route("**/runs/estimate", lambda _: None)  # it takes seconds
    page.goto("/projects/tone/training/new")
    page.get_by_test_id("section-training").locator("summary").click()
    entry = page.get_by_test_id("spec-training.tokens_per_pack").locator("input")
    expect(entry).to_have_value("2048")
    page.get_by_test_id("preset-13b-gpu24").check(force=True)
    expect(entry).to_have_value("3072")
    changed = page.get_by_test_id("spec-training.tokens_per_pack")
    expect(changed).to_have_attribute("data-changed", "false")


def test_what_does_not_fit_says_what_to_change(visits: Visits, snapshot: Snapshot) -> None:
    page = visits.page("ada")
    estimate_without_the_engine(page, fits=False)
    page.goto("/projects/tone/training/new")
    fits = page.get_by_test_id("memory-fits")
    expect(fits).to_have_attribute("data-fits", "false")
    page.get_by_test_id("memory-save-training.tokens_per_pack").click()
    expect(fits).to_have_attribute("data-fits", "true")
    changed = page.get_by_test_id("spec-training.tokens_per_pack")
    expect(changed).to_have_attribute("data-changed", "true")


def test_the_server_says_which_field_is_wrong(visits: Visits, snapshot: Snapshot) -> None:
    page = form_of_a_run(visits, "lora")
    targets = page.get_by_test_id("spec-lora.targets")
    targets.locator("input").fill("q_proj, lm_head")
    page.get_by_test_id("run-start").click()
    expect(targets.get_by_role("alert")).to_contain_text("language-model head")
    expect(targets.locator("input")).to_be_focused()
    assert not TrainingRun.objects.exists()


def test_a_late_estimate_takes_no_refusal_back(visits: Visits, snapshot: Snapshot) -> None:
    page = form_of_a_run(visits, "lora")
    targets = page.get_by_test_id("spec-lora.targets")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/runs/estimate", hold)
    targets.locator("input").fill("q_proj, lm_head")
    eventually(page, lambda: bool(held))
    page.get_by_test_id("run-start").click()
    expect(targets.get_by_role("alert")).to_contain_text("language-model head")
    with page.expect_response("**/runs/estimate"):
        held[0].fallback()
    page.evaluate("() => new Promise(requestAnimationFrame)")
    expect(targets.get_by_role("alert")).to_contain_text("language-model head")
    expect(page.get_by_test_id("run-problem")).to_be_visible()


def test_a_run_is_watched_while_it_learns(visits: Visits, snapshot: Snapshot) -> None:
    run = make_run(snapshot, RunState.QUEUED)
    page = visits.page("ada", "/projects/tone/training/1")
    expect_state(page, "queued")
    expect(page.get_by_test_id("run-sentence")).to_contain_text("Waiting for a training worker")
    running = make_run(snapshot, RunState.RUNNING)
    held = {"lease": running.lease, "heartbeat_at": running.heartbeat_at}
    running.delete()
    TrainingRun.objects.filter(pk=run.pk).update(
        state=RunState.RUNNING, starts=1, worker="trainer-1", log="reading the data\n", **held
    )
    log_steps(run, 1, 20)
    progress = page.get_by_test_id("run-progress")
    expect(progress).to_have_attribute("data-done", "20")
    expect(page.get_by_test_id("run-eta")).to_contain_text("3 min")
    charts = page.get_by_test_id("run-charts")
    expect(charts).to_have_attribute("data-lines", "20")
    for name in ("loss", "accuracy", "margin", "kl", "lr", "grad_norm", "tokens_per_s"):
        expect(page.get_by_test_id(f"chart-{name}").locator("canvas")).to_be_visible()
    log_steps(run, 21, 30)
    expect(charts).to_have_attribute("data-lines", "30")
    page.reload()
    expect(charts).to_have_attribute("data-lines", "30")
    expect(page.get_by_test_id("run-log")).to_contain_text("reading the data")
    TrainingRun.objects.filter(pk=run.pk).update(log="reading the data\ntraining (0 of 60)\n")
    expect(page.get_by_test_id("run-log")).to_contain_text("0 of 60")


def test_a_chart_is_read_by_keyboard_as_a_table_and_as_a_file(
    visits: Visits, snapshot: Snapshot
) -> None:
    run = make_run(snapshot, starts=1, made=MADE, measured=MEASURED)
    log_steps(run, 1, 60)
    page = visits.page("ada", "/projects/tone/training/1")
    loss = page.get_by_test_id("chart-loss")
    slider = loss.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuenow", "1")
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute(
        "aria-valuetext", "Step 2, Training 0.7053, Held out (log-loss) –"
    )
    loss.get_by_test_id("chart-log").click()
    expect(loss.get_by_test_id("chart-log")).to_have_attribute("aria-pressed", "true")
    expect(loss.locator("canvas")).to_be_visible()
    loss.get_by_test_id("chart-table").click()
    expect(loss.locator("tbody tr")).to_have_count(60)
    with page.expect_download() as file:
        loss.get_by_test_id("chart-csv").click()
    assert file.value.suggested_filename == "tone-run-1-loss.csv"
    lines = list(csv.reader(io.StringIO(Path(file.value.path()).read_text())))
    assert lines[0] == ["Step", "Training", "Held out (log-loss)"]
    assert lines[10][0] == "10"
    assert float(lines[10][2]) == pytest.approx(0.675)


def test_a_run_that_began_again_is_read_anew(visits: Visits, snapshot: Snapshot) -> None:
    run = make_run(snapshot, RunState.RUNNING, starts=1)
    log_steps(run, 1, 30)
    page = visits.page("ada", "/projects/tone/training/1")
    charts = page.get_by_test_id("run-charts")
    expect(charts).to_have_attribute("data-lines", "30")
    RunMetric.objects.filter(run=run, position__gte=20).delete()
    log_steps(run, 21, 22)
    expect(charts).to_have_attribute("data-lines", "22")


def test_cancel_and_resume(visits: Visits, snapshot: Snapshot) -> None:
    run = make_run(snapshot, RunState.RUNNING, starts=1)
    page = visits.page("ada", "/projects/tone/training/1")
    page.get_by_test_id("run-cancel").click()
    expect(page.get_by_test_id("run-cancel-confirm")).to_contain_text("saves a checkpoint")
    page.get_by_test_id("run-cancel-confirm-yes").click()
    expect(page.get_by_test_id("run-state").first).to_have_attribute("data-stopping", "true")
    eventually(page, lambda: TrainingRun.objects.get(pk=run.pk).stop_requested)
    ended = make_run(snapshot)
    when = ended.finished_at
    ended.delete()
    TrainingRun.objects.filter(pk=run.pk).update(
        state=RunState.CANCELED, stop_requested=False, lease=None, finished_at=when
    )
    expect_state(page, "canceled")
    page.get_by_test_id("run-resume").click()
    expect_state(page, "queued")
    assert TrainingRun.objects.get(pk=run.pk).state == RunState.QUEUED


def test_a_failed_run_says_why_and_what_to_change(visits: Visits, snapshot: Snapshot) -> None:
    make_run(
        snapshot,
        RunState.FAILED,
        starts=1,
        message="The loss is not a number any more, at step 12.",
        advice="Lower optimizer.lr, or take a longer warm-up.",
        warnings=["3 of 40 completions were longer than 512 tokens and were left out."],
    )
    page = visits.page("ada", "/projects/tone/training/1")
    expect_state(page, "failed")
    expect(page.get_by_test_id("run-message")).to_contain_text("at step 12")
    expect(page.get_by_test_id("run-advice")).to_contain_text("warm-up")
    expect(page.get_by_test_id("run-warnings")).to_contain_text("left out")
    expect(page.get_by_test_id("run-resume")).to_be_visible()


def test_a_finished_run_shows_its_result_and_with_what_it_was_made(
    visits: Visits, project: Project, snapshot: Snapshot
) -> None:
    run = make_run(snapshot, starts=1, made=MADE, measured=MEASURED)
    log_steps(run, 1, 60)
    make_adapter(run)
    cast.member(project, "vera", Role.VIEWER)
    page = visits.page("vera", "/projects/tone/training")
    expect(page.get_by_test_id("row-1")).to_contain_text("Adapter 1")
    page.goto("/projects/tone/training/1")
    expect(page.get_by_test_id("run-adapter")).to_be_visible()
    expect(page.get_by_test_id("run-again")).to_have_count(0)
    shares = page.get_by_test_id("run-shares")
    expect(shares).to_contain_text("71")
    expect(shares).to_contain_text("no task has two rankings")
    facts = page.get_by_test_id("run-facts")
    expect(facts).to_contain_text("2.13.0")
    expect(facts).to_contain_text("cccccccccccc")
    facts.locator("summary").click()
    expect(page.get_by_test_id("run-spec")).to_contain_text('"beta": 0.1')
    expect(page.get_by_test_id("memory-peak")).to_have_text("3.2 GB")


def test_a_run_is_repeated_with_its_changes(visits: Visits, snapshot: Snapshot) -> None:
    make_run(snapshot, spec={**SPEC, "optimizer": {"lr": 7e-5}})
    page = visits.page("ada")
    estimate_without_the_engine(page)
    page.goto("/projects/tone/training/1")
    page.get_by_test_id("run-again").click()
    rate = page.get_by_test_id("spec-optimizer.lr")
    expect(rate).to_have_attribute("data-changed", "true")
    expect(rate.locator("input")).to_have_value("0.00007")


def test_a_run_is_repeated_where_nobody_can_estimate(visits: Visits, snapshot: Snapshot) -> None:
    make_run(snapshot, spec={**SPEC, "optimizer": {"lr": 7e-5}})
    page = visits.page("ada")
    error = {"code": "no_estimate", "message": "The base is not here.", "fields": {}}
    page.route("**/runs/estimate", lambda route: route.fulfill(status=409, json={"error": error}))
    page.goto("/projects/tone/training/1")
    page.get_by_test_id("run-again").click()
    page.get_by_test_id("section-optimizer").locator("summary").click()
    rate = page.get_by_test_id("spec-optimizer.lr")
    expect(rate).to_have_attribute("data-changed", "true")
    expect(rate.locator("input")).to_have_value("0.00007")


def test_axe_on_training(visits: Visits, snapshot: Snapshot) -> None:
    run = make_run(snapshot, starts=1, made=MADE, measured=MEASURED, log="done\n")
    log_steps(run, 1, 60)
    make_adapter(run)
    make_run(snapshot, RunState.FAILED, message="The disk is full.", advice="Free some space.")
    make_run(snapshot, RunState.QUEUED)
    page = visits.page("ada")
    estimate_without_the_engine(page, fits=False)
    found = check(page, "/projects/tone/training", "[data-testid=runs]")
    found += check(page, "/projects/tone/training/1", "[data-testid=chart-loss] canvas")
    page.get_by_test_id("chart-loss").get_by_test_id("chart-table").click()
    found += check(page, "", "[data-testid=chart-loss] table")
    found += check(page, "/projects/tone/training/2", "[data-testid=run-message]")
    page.goto("/projects/tone/training/new")
    page.get_by_test_id("section-dpo").locator("summary").click()
    found += check(page, "", "[data-testid=memory-fits]")
    for path in ("/projects/tone/training/1", "/projects/tone/training/new"):
        phone = visits.page("ada", **PHONE)
        estimate_without_the_engine(phone)
        found += check(phone, path, "[data-testid=memory-table]")
        wide = phone.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{path} is {wide} px wider than a phone"
    assert not found, "\n".join(found)
