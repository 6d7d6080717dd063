"""What is said beside the order: strength, ratings, tags, rationale, better answers, flags."""

import pytest
from playwright.sync_api import expect

from annotate.models import Claim, ClaimState, Demonstration, Draft, Project, Ranking
from tests.browser.conftest import StartRound, Visits
from tests.browser.screen import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def curious(project: Project) -> Project:
    """The project asks for everything that can be asked for."""
    project.strength = True
    project.axes = [{"key": "helpful", "name": "Helpful", "min": 1, "max": 5}]
    project.tags = ["too long", "wrong"]
    project.rationale = "required"
    project.save()
    return project


def test_strength_ratings_tags_and_a_rationale_that_is_required(
    visits: Visits, curious: Project, start_round: StartRound
) -> None:
    start_round(1)
    bench = visits.bench("lena")
    page = bench.page
    bench.press("b", "3", "a", "3")  # the first 3 has no boundary yet to speak of
    bench.press("d", "1")
    expect(page.get_by_test_id("strength-1")).to_have_text("›››")
    page.get_by_test_id("strength-3").click()
    page.get_by_test_id("strength-3").click()
    expect(page.get_by_test_id("strength-3")).to_have_attribute(
        "aria-label", "How much better is D than C? clearly better"
    )
    bench.choose("rating-helpful-A-4")
    bench.choose("rating-helpful-B-5")
    bench.choose("tag-wrong")
    bench.press("Enter")
    expect(page.get_by_test_id("missing")).to_have_text("This project asks for a rationale")
    page.get_by_test_id("rationale").fill("B answers & stops.")
    bench.press("Control+Enter")
    bench.expect_sent(1)
    ranking = Ranking.objects.get()
    letters = dict(zip(ranking.order, "ABCD", strict=True))
    assert [letters[tier[0]] for tier in ranking.tiers] == ["B", "A", "D", "C"]
    assert ranking.strengths == [3, 1, 2]
    said = {letters[int(key)]: value for key, value in ranking.ratings["helpful"].items()}
    assert said == {"A": 4, "B": 5}
    assert ranking.tags == ["wrong"]
    assert ranking.rationale == "B answers & stops."


def test_a_rating_and_a_tag_can_be_taken_back(
    visits: Visits, curious: Project, start_round: StartRound
) -> None:
    start_round(1)
    bench = visits.bench("lena")
    page = bench.page
    for _ in range(2):
        bench.choose("rating-helpful-A-4")
        bench.choose("tag-too long")
    expect(page.get_by_test_id("rating-helpful-A-4")).not_to_be_checked()
    expect(page.get_by_test_id("tag-too long")).not_to_be_checked()
    page.get_by_test_id("rationale").fill("all the same")
    page.keyboard.press("Escape")
    bench.rank("ABCD")
    bench.submit()
    bench.expect_sent(1)
    ranking = Ranking.objects.get()
    assert (ranking.ratings, ranking.tags) == ({}, [])


def test_a_better_answer_becomes_a_demonstration(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    bench = visits.bench("lena")
    page = bench.page
    started_from = bench.text_of("B")
    page.get_by_test_id("better-B").click()
    answer = page.get_by_test_id("better-answer")
    expect(answer).to_be_focused()
    expect(answer).to_have_value(started_from)
    answer.fill("")
    page.keyboard.press("Escape")
    bench.rank("B", "A", "C", "D")
    bench.press("Enter")
    expect(page.get_by_test_id("missing")).to_contain_text("better answer is empty")
    page.get_by_test_id("discard-answer").click()
    page.get_by_role("button", name="Restore").click()
    answer.fill("An answer that is **better**.")
    page.keyboard.press("Control+Enter")
    bench.expect_sent(1)
    demonstration = Demonstration.objects.get()
    assert demonstration.text == "An answer that is **better**."
    assert demonstration.started_from is not None
    assert demonstration.started_from.text == started_from


def test_skip_and_flag_with_reasons(visits: Visits, start_round: StartRound) -> None:
    start_round(3)
    bench = visits.bench("lena")
    page = bench.page
    first = bench.task_id
    bench.press("a", "s")
    page.get_by_test_id("skip-language").check()
    page.get_by_test_id("skip-note").fill("it is in Basque")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("task")).not_to_have_attribute("data-claim", str(first))
    second = bench.task_id
    bench.press("f")
    page.get_by_test_id("flag-personal_data").check()
    page.get_by_test_id("flag-note").fill("names a neighbour")
    page.get_by_test_id("flag-submit").click()
    expect(page.get_by_test_id("task")).not_to_have_attribute("data-claim", str(second))
    eventually(page, lambda: Claim.objects.filter(state=ClaimState.FLAGGED).exists())
    skipped = Claim.objects.get(pk=int(first or 0))
    assert (skipped.state, skipped.reason) == (ClaimState.SKIPPED, "language")
    assert skipped.note == "it is in Basque"
    flagged = Claim.objects.get(pk=int(second or 0))
    assert (flagged.reason, flagged.note) == ("personal_data", "names a neighbour")
    # Neither comes back to Lena.
    bench.rank("A", "B", "C", "D")
    bench.submit()
    empty = page.get_by_test_id("empty-queue")
    expect(empty).to_have_attribute("data-reason", "all_done")
    bench.expect_sent(1)
    assert not Ranking.objects.exclude(claim__state=ClaimState.RANKED).exists()


def test_a_dialog_that_is_closed_changes_nothing(visits: Visits, start_round: StartRound) -> None:
    start_round(1)
    bench = visits.bench("lena")
    first = bench.task_id
    for key in ("s", "f"):
        bench.press(key, "Escape")
        expect(bench.page.locator("dialog")).to_have_count(0)
    assert bench.task_id == first
    assert bench.waiting() == 0
    assert not Draft.objects.exists()
