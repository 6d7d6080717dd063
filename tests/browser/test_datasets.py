"""Datasets: asking for a snapshot, watching it build, reading what is in it."""

import json
import zipfile
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from annotate.models import Project, Ranking, Role, User
from tests import cast
from tests.browser.conftest import Say, StartRound, Visits
from tests.browser.learning import freeze, make_adapter, make_run, rank_some
from tests.browser.test_accessibility import PHONE, check
from training.models import Snapshot, SnapshotState
from training.services.snapshots import create_snapshot
from training.services.snapshots.building import build_snapshot
from training.snapshots.spec import SnapshotSpec

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def expect_state(page: Page, state: str) -> None:
    badge = page.get_by_test_id("snapshot-state").first
    expect(badge).to_have_attribute("data-state", state)


def test_a_snapshot_is_chosen_built_and_shown(visits: Visits, project: Project, say: Say) -> None:
    rank_some(project, say)
    page = visits.page("ada", "/projects/tone/datasets")
    expect(page.get_by_test_id("datasets-empty")).to_contain_text("freezes the rankings")
    page.get_by_test_id("snapshot-new").click()
    page.get_by_test_id("snapshot-round-1").check()
    page.get_by_test_id("snapshot-labeler-lena").check()
    page.get_by_test_id("snapshot-overlap").fill("0")
    expect(page.get_by_test_id("snapshot-create")).to_be_disabled()
    page.get_by_test_id("snapshot-overlap").fill("1")
    page.get_by_test_id("snapshot-since").fill("2026-03-02T10:00")
    page.get_by_test_id("snapshot-until").fill("2026-03-01T10:00")
    expect(page.get_by_test_id("snapshot-create")).to_be_disabled()
    page.get_by_test_id("snapshot-since").fill("")
    page.get_by_test_id("snapshot-until").fill("")
    page.get_by_test_id("snapshot-aggregation-majority").check()
    page.get_by_test_id("snapshot-weight-task").check()
    page.get_by_test_id("snapshot-create").click()
    expect_state(page, "queued")
    made = Snapshot.objects.get()
    assert made.spec["aggregation"] == "majority"
    assert (made.spec["rounds"], made.spec["weight"]) == ([1], "task")
    build_snapshot(snapshot_id=made.pk)
    expect_state(page, "ready")
    made.refresh_from_db()
    assert made.manifest is not None
    counts = made.manifest["counts"]
    for side in ("train", "held_out"):
        shown = page.get_by_test_id(f"count-{side}-rankings")
        expect(shown).to_have_text(str(counts[side]["rankings"]))
    expect(page.get_by_test_id("snapshot-card")).to_contain_text("How it was chosen")
    expect(page.get_by_test_id("snapshot-card").locator("table").first).to_be_visible()
    page.reload()
    expect(page.get_by_test_id("snapshot-hash")).to_have_text(made.content_hash)


def test_its_files_are_looked_into_and_downloaded(
    visits: Visits, project: Project, say: Say, tmp_path: Path
) -> None:
    rank_some(project, say)
    snapshot = freeze(project)
    page = visits.page("ada", "/projects/tone/datasets/1")
    page.get_by_test_id("preview-train/rankings.jsonl").click()
    first = page.get_by_test_id("rows").locator("pre").first
    expect(first).to_contain_text('"tiers"')
    with page.expect_download() as one:
        page.get_by_test_id("download-train/rankings.jsonl").click()
    assert one.value.suggested_filename == "tone-snapshot-1-train-rankings.jsonl"
    rows = [json.loads(line) for line in Path(one.value.path()).read_text().splitlines()]
    assert snapshot.manifest is not None
    assert len(rows) == snapshot.manifest["counts"]["train"]["rows"]
    with page.expect_download() as everything:
        page.get_by_test_id("download-all").click()
    with zipfile.ZipFile(everything.value.path()) as archive:
        assert "tone-snapshot-1/README.md" in archive.namelist()
    line = page.get_by_test_id("load-line")
    expect(line).to_contain_text('load_dataset("tone-snapshot-1", "rankings")')


def test_what_changed_since_is_said_and_another_is_made_like_it(
    visits: Visits, project: Project, say: Say
) -> None:
    rank_some(project, say)
    freeze(project, minimum_overlap=2)
    ranking = Ranking.objects.order_by("id").first()
    assert ranking is not None
    Ranking.objects.filter(pk=ranking.pk).update(current=False)
    page = visits.page("ada", "/projects/tone/datasets/1")
    expect(page.get_by_test_id("snapshot-changed")).to_have_attribute("data-n", "1")
    page.get_by_test_id("snapshot-again").click()
    expect(page.get_by_test_id("snapshot-overlap")).to_have_value("2")
    page.get_by_test_id("snapshot-create").click()
    expect_state(page, "queued")
    page.get_by_test_id("snapshot-cancel").click()
    page.get_by_test_id("snapshot-cancel-confirm-yes").click()
    expect_state(page, "canceled")
    page.get_by_test_id("snapshot-retry").click()
    expect_state(page, "queued")
    page.goto("/projects/tone/datasets")
    expect(page.locator("[data-testid^='row-']")).to_have_count(2)


def test_a_snapshot_that_failed_says_why(visits: Visits, project: Project, say: Say) -> None:
    rank_some(project, say, prompts=2)
    ada = User.objects.get(username="ada")
    snapshot = create_snapshot(project_id=project.pk, actor_id=ada.pk, spec=SnapshotSpec())
    message = "The disk is full. Free some space, then build it again."
    Snapshot.objects.filter(pk=snapshot.pk).update(
        state=SnapshotState.FAILED, message=message, finished_at=timezone.now()
    )
    page = visits.page("ada", "/projects/tone/datasets/1")
    expect_state(page, "failed")
    expect(page.get_by_test_id("snapshot-sentence")).to_have_text(message)
    expect(page.get_by_test_id("snapshot-retry")).to_be_visible()


def test_runs_of_a_snapshot_and_the_way_to_the_next(
    visits: Visits, project: Project, say: Say
) -> None:
    rank_some(project, say)
    make_adapter(make_run(freeze(project)))
    page = visits.page("ada", "/projects/tone/datasets/1")
    row = page.get_by_test_id("snapshot-runs").get_by_test_id("row-1")
    expect(row).to_contain_text("Adapter 1")
    page.get_by_test_id("snapshot-train").click()
    expect(page.get_by_test_id("run-snapshot")).to_have_value("1")


def test_a_viewer_reads_and_changes_nothing(visits: Visits, project: Project, say: Say) -> None:
    rank_some(project, say, prompts=4)
    freeze(project)
    cast.member(project, "vera", Role.VIEWER)
    page = visits.page("vera", "/projects/tone/datasets/1")
    expect_state(page, "ready")
    expect(page.get_by_test_id("snapshot-train")).to_have_count(0)
    expect(page.get_by_test_id("download-all")).to_be_visible()
    page.goto("/projects/tone/datasets/new")
    expect(page.get_by_test_id("not-found")).to_be_visible()
    lena = visits.page("lena", "/projects/tone/datasets")
    expect(lena.get_by_test_id("not-found")).to_be_visible()


def test_axe_on_datasets(
    visits: Visits, project: Project, say: Say, start_round: StartRound
) -> None:
    rank_some(project, say)
    freeze(project)
    page = visits.page("ada")
    found = check(page, "/projects/tone/datasets", "[data-testid=datasets]")
    found += check(page, "/projects/tone/datasets/new", "[data-testid=snapshot-form]")
    page.goto("/projects/tone/datasets/1")
    page.get_by_test_id("preview-train/rankings.jsonl").click()
    found += check(page, "", "[data-testid=rows] pre")
    phone = visits.page("ada", **PHONE)
    found += check(phone, "/projects/tone/datasets/1", "[data-testid=snapshot-card] h2")
    wide = phone.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"the page is {wide} px wider than a phone"
    assert not found, "\n".join(found)
