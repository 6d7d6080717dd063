"""An admin changes what is asked while somebody answers."""

import pytest
from playwright.sync_api import expect

from annotate.models import Project, Ranking, Rationale
from tests.browser.conftest import StartRound, Visits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def rated(project: Project) -> Project:
    project.axes = [{"key": "help", "name": "Helpful", "min": 1, "max": 5}]
    project.tags = ["wrong"]
    project.strength = True
    project.save()
    return project


def test_what_was_shown_is_what_can_be_said(
    visits: Visits, rated: Project, start_round: StartRound
) -> None:
    start_round(3)
    bench = visits.bench("lena")
    bench.wait_for_next()
    bench.press("c", "2", "=", "a", "b")
    bench.choose("rating-help-D-4")
    bench.choose("tag-wrong")
    Project.objects.update(
        axes=[], tags=[], strength=False, ties_allowed=False, rationale=Rationale.REQUIRED
    )
    bench.submit()
    bench.expect_sent(1)
    page = bench.page
    expect(page.get_by_test_id("outbox-count")).to_have_attribute("data-attention", "0")
    said = Ranking.objects.get()
    assert said.ratings == {"help": {str(said.order[3]): 4}}
    assert said.tags == ["wrong"]
    assert [len(tier) for tier in said.tiers] == [2, 1, 1]
    # The one that was fetched ahead asks what it asked then, the one after it what is asked now.
    expect(page.get_by_test_id("rating-help-A-4")).to_have_count(1)
    bench.rank("A", "B", "C", "D")
    bench.submit()
    bench.expect_sent(2)
    bench.wait_for_task()
    expect(page.get_by_test_id("rating-help-A-4")).to_have_count(0)
    # Undone, the first is there again with all that was said.
    page.goto(f"/rankings/{said.pk}")
    page.get_by_test_id("edit-ranking").click()
    expect(page.get_by_test_id("rating-help-D-4")).to_be_checked()
    page.get_by_test_id("submit").click()
    expect(page.get_by_test_id("toast")).to_contain_text("saved as revision 2")
    assert Ranking.objects.get(revision=2).ratings == said.ratings
