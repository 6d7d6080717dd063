"""The console: browsing what was ranked, exporting it, and tokens for scripts."""

import json
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from annotate.models import Comparison, Completion, Project, Ranking
from tests.browser.conftest import Say, StartRound, Visits
from tests.browser.screen import words
from tests.services import Site

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def ranked(project: Project, start_round: StartRound, say: Say) -> int:
    """Two rankings by Lena and one by Luis; the id of the one that says most."""
    project.axes = [{"key": "helpful", "name": "Helpful", "min": 1, "max": 5}]
    project.tags = ["wrong"]
    project.strength = True
    project.save()
    start_round(3)
    said = say(
        "lena",
        *("B", "AD", "C"),
        unacceptable={"C": "makes things up"},
        strengths=[3, None],
        ratings={"helpful": {"A": 4}},
        tags=["wrong"],
        rationale="B is short.",
        demonstration="A **better** one.",
        started_from="A",
    )
    say("lena", "ABCD")
    say("luis", "A", "B", "C", "D")
    return said


def test_rankings_with_filters_and_detail(visits: Visits, ranked: int) -> None:
    page = visits.page("ada", "/projects/tone/rankings")
    expect(page.locator("[data-testid^='row-']")).to_have_count(3)
    page.get_by_test_id("filter-labeler").select_option("luis")
    expect(page.locator("[data-testid^='row-']")).to_have_count(1)
    assert "labeler=luis" in page.url
    page.get_by_test_id("filter-clear").click()
    page.get_by_test_id(f"row-{ranked}").get_by_role("link").click()
    record = page.get_by_test_id("ranking-record")
    for text in ("lena", "B is short.", "wrong", "makes things up", "better"):
        expect(record).to_contain_text(text)
    ranking = Ranking.objects.get(pk=ranked)
    shown = [Completion.objects.get(pk=pk).text for pk in ranking.order]
    for label, text in zip("ABCD", shown, strict=True):
        expect(page.get_by_test_id(f"response-{label}")).to_contain_text(text)
    page.get_by_test_id("provenance-B").locator("summary").click()
    provenance = page.get_by_test_id("provenance-B")
    expect(provenance).to_contain_text("base-model")
    expect(provenance).to_contain_text(str(ranking.order[1]))
    expect(provenance).to_contain_text("scripted")


def test_comparisons_with_filters(visits: Visits, ranked: int) -> None:
    page = visits.page("ada", "/projects/tone/comparisons")
    all_rows = page.locator("[data-testid^='row-']")
    expect(all_rows).to_have_count(Comparison.objects.count())
    page.get_by_test_id("filter-labeler").select_option("luis")
    expect(all_rows).to_have_count(6)
    page.get_by_test_id("filter-search").fill("nothing like this")
    expect(page.get_by_role("main")).to_contain_text("No comparison")
    page.goto("/projects/tone/comparisons?labeler=lena")
    all_rows.first.get_by_role("link").click()
    expect(page.get_by_test_id("ranking-record")).to_contain_text("lena")


def test_a_download_equals_the_api(visits: Visits, ranked: int) -> None:
    page = visits.page("ada", "/projects/tone/export")
    expect(page.get_by_test_id("export-rows-rankings")).to_contain_text("3")
    for kind in ("comparisons", "rankings"):
        with page.expect_download() as download:
            page.get_by_test_id(f"export-{kind}-jsonl").click()
        saved = Path(download.value.path()).read_text()
        assert saved == page.request.get(f"/api/projects/tone/export/{kind}.jsonl").text()
        assert all(json.loads(line) for line in saved.splitlines())
        with page.expect_download() as download:
            page.get_by_test_id(f"export-{kind}-parquet").click()
        assert Path(download.value.path()).read_bytes()[:4] == b"PAR1"
        assert download.value.suggested_filename == f"tone-{kind}.parquet"
    expect(page.get_by_test_id("export-load-rankings")).to_contain_text("load_dataset")


def test_an_export_of_one_split(visits: Visits, ranked: int) -> None:
    page = visits.page("ada", "/projects/tone/export?split=held_out")
    expect(page.get_by_test_id("filter-split")).to_have_value("held_out")
    with page.expect_download() as download:
        page.get_by_test_id("export-rankings-jsonl").click()
    assert Path(download.value.path()).read_text() == ""


def test_a_token_is_shown_once_and_ends_when_it_is_revoked(
    visits: Visits, ranked: int, site: Site
) -> None:
    page = visits.page("ada", "/projects/tone/export")
    page.get_by_test_id("token-create").click()
    token = words(page.get_by_test_id("token-value").inner_text())
    headers = {"Authorization": f"Token {token}"}
    address = f"{site.url}/api/projects/tone/export/rankings.jsonl"
    assert httpx.get(address, headers=headers, trust_env=False).status_code == 200
    page.get_by_test_id("token-done").click()
    page.reload()
    expect(page.get_by_test_id("tokens").locator("tbody tr")).to_have_count(1)
    assert token not in page.content()
    page.locator("[data-testid^='token-revoke-']").click()
    page.get_by_test_id("token-revoke-confirm-yes").click()
    expect(page.get_by_test_id("tokens")).to_have_count(0)
    assert httpx.get(address, headers=headers, trust_env=False).status_code == 401


def test_an_empty_project_says_what_to_do_first(visits: Visits, project: Project) -> None:
    page = visits.page("ada")
    for name in ("rankings", "comparisons", "export"):
        page.goto(f"/projects/tone/{name}")
        empty = page.get_by_test_id(f"{name}-empty")
        expect(empty.get_by_role("link").first).to_be_visible()
