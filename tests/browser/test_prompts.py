"""The console: importing prompts with a report by line, and finding them again."""

from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from annotate.models import Project, Prompt
from tests import cast
from tests.browser.conftest import Visits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

LINES = """\
{"prompt": "What is love?", "tags": ["deep"]}
{"prompt": 3}
not json
{"messages": [{"role": "assistant", "content": "x"}]}
{"prompt": "What is love?"}
{"prompt": "Name a river."}
"""


def expect_report(page: Page, *, imported: int, duplicates: int, refused: int) -> None:
    for name, count in (
        ("imported", imported),
        ("duplicates", duplicates),
        ("refused", refused),
    ):
        badge = page.get_by_test_id(f"import-{name}").first
        expect(badge).to_have_attribute("data-n", str(count))


def test_paste_with_a_report_by_line(visits: Visits, project: Project) -> None:
    page = visits.page("ada", "/projects/tone/prompts")
    expect(page.get_by_test_id("prompts-empty")).to_be_visible()
    page.get_by_test_id("prompts-import").click()
    page.get_by_test_id("import-paste").check(force=True)
    page.get_by_test_id("import-text").fill(LINES)
    page.get_by_test_id("import-submit").click()
    expect_report(page, imported=2, duplicates=1, refused=3)
    problems = page.get_by_test_id("import-problem")
    assert [row.inner_text()[0] for row in problems.all()] == ["2", "3", "4"]
    with page.expect_download() as download:
        page.get_by_test_id("import-download").click()
    assert download.value.suggested_filename == "tone-refused-lines.csv"
    assert "not json" in Path(download.value.path()).read_text()
    expect(page.get_by_test_id("import-text")).to_have_value("")
    page.get_by_test_id("import-text").fill(LINES)
    page.get_by_test_id("import-submit").click()
    expect_report(page, imported=0, duplicates=3, refused=3)
    assert Prompt.objects.count() == 2


def test_files_of_both_formats(visits: Visits, project: Project) -> None:
    page = visits.page("ada", "/projects/tone/prompts/import")
    csv = 'prompt,tags\n"One, with a comma",a;b\nTwo,\n"never closed'
    files: list[FilePayload] = [
        {"name": "mine.csv", "mimeType": "text/csv", "buffer": csv.encode()},
        {"name": "noext", "mimeType": "", "buffer": b'{"prompt": "Three"}\n'},
    ]
    page.get_by_test_id("import-input").set_input_files(files=files)
    expect(page.get_by_test_id("import-report")).to_have_count(2)
    assert set(Prompt.objects.values_list("excerpt", flat=True)) >= {"One, with a comma", "Three"}
    assert Prompt.objects.get(excerpt="One, with a comma").tags == ["a", "b"]
    expect(page.get_by_test_id("import-problem")).to_have_count(1)


def test_a_file_that_is_dropped(visits: Visits, project: Project) -> None:
    page = visits.page("ada", "/projects/tone/prompts/import")
    transfer = page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(['{"prompt": "Dropped"}'], "drop.jsonl"));
            return transfer;
        }"""
    )
    page.get_by_test_id("import-drop").dispatch_event("drop", {"dataTransfer": transfer})
    expect_report(page, imported=1, duplicates=0, refused=0)


def test_a_file_that_is_no_text(visits: Visits, project: Project) -> None:
    page = visits.page("ada", "/projects/tone/prompts/import")
    image: FilePayload = {"name": "a.jsonl", "mimeType": "", "buffer": bytes(range(256)) * 8}
    page.get_by_test_id("import-input").set_input_files(files=[image])
    told = page.get_by_test_id("failure").or_(page.get_by_test_id("import-problem"))
    expect(told.first).to_be_visible()
    assert not Prompt.objects.exists()


def test_filters_live_in_the_address_and_lead_to_a_round(visits: Visits, project: Project) -> None:
    cast.add_prompts(project, 30)
    cast.served_model()
    Prompt.objects.filter(excerpt__endswith="1").update(tags=["code"])
    tagged = Prompt.objects.filter(tags=["code"]).count()
    page = visits.page("ada", "/projects/tone/prompts")
    rows = page.locator("[data-testid^='row-']")
    expect(rows).to_have_count(30)
    page.get_by_test_id("filter-tag").fill("code")
    page.get_by_test_id("filter-tag").press("Enter")
    expect(rows).to_have_count(tagged)
    assert "tag=code" in page.url
    page.get_by_test_id("filter-search").fill("zzzz")
    expect(page.get_by_test_id("prompts-none")).to_be_visible()
    page.get_by_test_id("filter-clear").click()
    expect(page.get_by_test_id("filter-search")).to_have_value("")
    expect(rows).to_have_count(30)
    page.goto("/projects/tone/prompts?tag=code")
    expect(rows).to_have_count(tagged)
    page.get_by_test_id("prompts-round").click()
    expect(page.get_by_test_id("round-tag")).to_have_value("code")
    expect(page.get_by_test_id("round-matching")).to_have_attribute("data-n", str(tagged))
    page.goto("/projects/tone/prompts")
    rows.first.get_by_role("link").click()
    expect(page.get_by_role("main")).to_contain_text("Question")


def test_a_long_list_is_paged(visits: Visits, project: Project) -> None:
    cast.add_prompts(project, 60)
    page = visits.page("ada", "/projects/tone/prompts")
    rows = page.locator("[data-testid^='row-']")
    expect(rows.first).to_be_visible()
    first = rows.count()
    assert first < 60
    page.get_by_test_id("table-more").click()
    expect(rows).to_have_count(60)
    expect(page.get_by_test_id("table-more")).to_have_count(0)
