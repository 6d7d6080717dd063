"""The main job from end to end, in Chromium, with the real vLLM and the bundled model.

An admin imports prompts and triggers a round, two labelers rank by keyboard while one loses the
network for a while, and the export says exactly what they said.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from annotate.launch.child import Child
from annotate.models import Project, Ranking, Role
from annotate.services.projects import create_project
from tests import cast
from tests.browser.screen import Judged, Workbench, sign_in, words
from tests.patience import PATIENCE_MS
from tests.services import Site

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.browser,
    pytest.mark.vllm,
]
PROMPTS = """\
{"id": "p1", "prompt": "Name a river in Europe."}
{"id": "p2", "prompt": "Write one sentence about bread & <b>butter</b>."}
this line is no prompt
{"id": "p3", "prompt": "Why is the sky blue? Answer briefly."}
{"id": "p4", "prompt": "Give a synonym of happy."}
"""
# Best first; letters together are a tie.
LENA = [["B", "A", "D", "C"], ["A", "BC", "D"], ["ABCD"], ["D", "C", "B", "A"]]
LUIS = [["C", "A", "B", "D"], ["D", "C", "A", "B"], ["A", "B", "C", "D"], ["BD", "A", "C"]]


@pytest.fixture
def project(db: None) -> Project:
    ada = cast.person("ada")
    project = create_project(actor_id=ada.pk, slug="tone", name="Tone", overlap=2)
    cast.member(project, "lena", Role.LABELER)
    cast.member(project, "luis", Role.LABELER)
    return project


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[Callable[[], Page]]:
    """New browser profiles, one for each person."""
    contexts = []

    def new_page() -> Page:
        context = browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 800})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        return context.new_page()

    yield new_page
    for context in contexts:
        context.close()


def test_from_prompts_to_an_export_that_equals_what_was_ranked(
    project: Project,
    open_page: Callable[[], Page],
    worker: Child,
    generator: Child,
    beat: Child,
    vllm: Child,
) -> None:
    ada = open_page()
    sign_in(ada, "ada", "/projects/tone/prompts/import")
    import_prompts(ada)
    trigger_round(ada)

    lena, luis = Workbench(open_page()), Workbench(open_page())
    sign_in(lena.page, "lena", "/label/tone")
    sign_in(luis.page, "luis", "/label/tone")
    said = {
        "lena": rank_with_a_tie_a_mark_and_an_undo(lena),
        "luis": rank_through_a_lost_network(luis),
    }
    lena.expect_waiting(0)
    luis.expect_waiting(0)
    labeling = ada.get_by_test_id("labeling-progress")
    expect(labeling).to_have_attribute("data-done", "8")

    rankings = export(ada, "rankings.jsonl")
    assert len(rankings) == 8
    for username, judged in said.items():
        rows = [row for row in rankings if row["labeler"] == username]
        assert {as_judged(row, judged) for row in rows} == set(judged)
    check_comparisons(export(ada, "comparisons.jsonl"), [*said["lena"], *said["luis"]])
    undone = Ranking.objects.filter(withdrawn_at__isnull=False)
    assert [ranking.labeler.username for ranking in undone] == ["lena"]


def import_prompts(ada: Page) -> None:
    """Paste five lines, one of which is no prompt."""
    ada.get_by_test_id("import-paste").check(force=True)
    ada.get_by_test_id("import-text").fill(PROMPTS)
    ada.get_by_test_id("import-submit").click()
    expect(ada.get_by_test_id("import-imported")).to_contain_text("4")
    expect(ada.get_by_test_id("import-problem")).to_have_count(1)
    expect(ada.get_by_test_id("import-problem")).to_contain_text("3")


def trigger_round(ada: Page) -> None:
    """Start a round with K=4 and wait until the model has written everything."""
    ada.goto("/projects/tone/rounds/new")
    ada.get_by_test_id("round-k").select_option("4")
    ada.get_by_test_id("round-split").select_option("")
    expect(ada.get_by_test_id("source-model-0")).not_to_have_value("")
    ada.get_by_test_id("source-max_tokens-0").fill("24")
    expect(ada.get_by_test_id("round-matching")).to_have_attribute("data-n", "4")
    ada.get_by_test_id("round-start").click()
    state = ada.get_by_test_id("round-state").first
    expect(state).to_have_attribute("data-state", "labeling")


def rank_with_a_tie_a_mark_and_an_undo(lena: Workbench) -> list[Judged]:
    """Four tasks; the first is undone and ranked anew, the last has an unacceptable response."""
    said = []
    lena.wait_for_task()
    lena.show_raw()
    first = lena.task_id
    lena.press("C", "B", "A", "D")
    lena.submit()
    lena.wait_for_task()
    lena.press("u")
    expect(lena.page.get_by_test_id("task")).to_have_attribute("data-claim", str(first))
    lena.press("Backspace", "Backspace", "Backspace", "Backspace")
    for number, tiers in enumerate(LENA):
        lena.wait_for_task()
        for tier in tiers:
            lena.press(tier[0])
            for label in tier[1:]:
                lena.press("=", label)
        unacceptable = tiers[-1] if number == 3 else ""
        if unacceptable:
            lena.press("x", "Escape")  # out of the field for the reason
        said.append(lena.judged(tiers, unacceptable))
        lena.submit()
    return said


def rank_through_a_lost_network(luis: Workbench) -> list[Judged]:
    """Four tasks; the network is away while the second one is submitted."""
    said = []
    luis.wait_for_task()
    luis.show_raw()
    for number, tiers in enumerate(LUIS):
        luis.wait_for_task()
        for tier in tiers:
            luis.press(tier[0])
            for label in tier[1:]:
                luis.press("=", label)
        said.append(luis.judged(tiers))
        if number == 1:
            luis.page.context.set_offline(True)
        luis.submit()
        if number == 1:
            luis.expect_waiting(1)
            luis.page.context.set_offline(False)
    return said


def export(ada: Page, name: str) -> list[dict[str, Any]]:
    reply = ada.request.get(f"/api/projects/tone/export/{name}")
    assert reply.ok, reply.text()
    return [json.loads(line) for line in reply.text().splitlines()]


def as_judged(row: dict[str, Any], seen: list[Judged]) -> Judged:
    """An exported ranking in the terms of the screen, where the prompt has a frame around it."""
    texts = [words(completion["text"]) for completion in row["completions"]]
    prompt = words(row["prompt"][-1]["content"])
    bad = [text for text, marked in zip(texts, row["unacceptable"], strict=True) if marked]
    return Judged(
        next(each.conversation for each in seen if prompt in each.conversation),
        tuple(frozenset(texts[index] for index in tier) for tier in row["tiers"]),
        frozenset(bad),
    )


def check_comparisons(rows: list[dict[str, Any]], said: list[Judged]) -> None:
    """Every pair across tiers is there once, and nothing else."""
    expected = [
        (better, worse)
        for judged in said
        for upper, tier in enumerate(judged.tiers)
        for better in tier
        for lower in judged.tiers[upper + 1 :]
        for worse in lower
    ]
    found = [
        (words(row["chosen"][0]["content"]), words(row["rejected"][0]["content"])) for row in rows
    ]
    assert sorted(found) == sorted(expected)
