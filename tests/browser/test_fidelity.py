"""What a person reads and copies is what was written, line breaks included.

The comparison is made here, of what Chromium shows and copies with the source, and shares nothing
with the page's own rendering or with its own search for what it lost.
"""

import json
import re
import unicodedata
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from annotate.models import Project, Prompt, Ranking
from annotate.services.prompts import import_prompts
from tests.browser.conftest import StartRound, Visits
from tests.browser.corpus import PLAIN, SAMPLES, STRUCTURED, Sample
from tests.browser.screen import Workbench

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

# Every sign that a page may leave out, because the style of what it marks shows it.
MARKERS: dict[str, list[tuple[str, str]]] = {
    "fence": [(r"(?m)^```\w*\n?", "")],
    "table": [
        (r"(?m)^\|(?::?-+:?\|)+\n", ""),
        (r"(?m)^\| *| *\|$", ""),
        (r" \| ", "\t"),
    ],
    "code": [(r"`([^`\n]+)`", r"\1")],
    "heading": [(r"(?m)^#{1,6} ", "")],
    "quote": [(r"(?m)^> ", "")],
    "rule": [(r"(?m)^---\n", "")],
    "bullet": [(r"(?m)^ *[-*+] ", "")],
    "link": [(r"\[([^\]]+)\]\([^)]+\)", r"\1")],
    "emphasis": [(r"\*\*(.+?)\*\*", r"\1"), (r"\*(.+?)\*", r"\1"), (r"~~(.+?)~~", r"\1")],
}
READ = """node => {
    const range = document.createRange();
    range.selectNodeContents(node);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    const copied = selection.toString();
    selection.removeAllRanges();
    return [node.innerText, copied];
}"""
BLOCKS = """node => [...node.querySelectorAll(".text, li, th, td, h1, h2, h3")].map(block => {
    const own = block.cloneNode(true);
    const apart = own.querySelectorAll("ul, ol, span[hidden], code, .item-number");
    for (const each of apart) each.remove();
    return [own.textContent, getComputedStyle(block).direction, getComputedStyle(block).textAlign];
})"""
BROKEN_WORDS = """node => [...node.querySelectorAll("th, td")].flatMap(cell => {
    const broken = [];
    const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let text; (text = walk.nextNode()); ) for (const word of text.data.matchAll(/\\S+/g)) {
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
        if (lines.size > 1) broken.push(word[0]);
    }
    return broken;
})"""
LETTERS = "ABCDEFGHI"


def without_markers(sample: Sample) -> str:
    text = sample.source
    for construct in sample.constructs:
        for pattern, kept in MARKERS[construct]:
            text = re.sub(pattern, kept, text)
    return text


def lines(text: str) -> list[str]:
    """Lines that say something; how a construct stands in the page is its style."""
    return [line.strip() for line in text.split("\n") if line.strip()]


def one_blank(text: str) -> str:
    """Copying gives one blank line where there were more."""
    return re.sub(r"\n{2,}", "\n\n", text).strip("\n")


@pytest.fixture
def corpus_round(start_round: StartRound) -> list[list[Sample]]:
    """Every sample as a response, nine to a task and a round."""
    samples = list(SAMPLES.values())
    samples += samples[: -len(samples) % len(LETTERS)]
    tasks = [samples[at : at + len(LETTERS)] for at in range(0, len(samples), len(LETTERS))]
    for number, task in enumerate(tasks):
        texts = [sample.source for sample in task]
        start_round(0 if number else 1, k=len(LETTERS), texts=texts)
    return tasks


def cards(bench: Workbench) -> dict[str, Sample]:
    """Letters of the responses, by the raw view, which is the source itself."""
    sources = {sample.source: sample for sample in SAMPLES.values()}
    bench.show_raw()
    found = {}
    for label in bench.labels:
        raw = bench.page.get_by_test_id(f"response-text-{label}").locator("pre.raw")
        text, copied = raw.evaluate(READ)
        assert text in sources, text
        assert copied == text
        found[label] = sources[text]
    bench.show_raw()
    return found


def prose(page: Page, label: str) -> Locator:
    found = page.get_by_test_id(f"response-text-{label}").locator(".prose")
    expect(found.locator("> *").first).to_be_attached()
    return found


def infidelities(page: Page, label: str, sample: Sample) -> list[tuple[str, Any, Any]]:
    """Where a card reads or copies otherwise than it should: what, as it is, as it should be."""
    read, copied = prose(page, label).evaluate(READ)
    wanted = without_markers(sample)
    pairs: list[tuple[str, Any, Any]] = [
        ("read", lines(read), lines(wanted)),
        ("copied", lines(copied), lines(wanted)),
    ]
    if sample in PLAIN.values():
        pairs += [
            ("read", read.rstrip("\n"), sample.source),
            ("copied", one_blank(copied), one_blank(sample.source)),
        ]
    formulas = 3 if sample is STRUCTURED["math"] else 0
    pairs.append(("formulas", prose(page, label).locator("math").count(), formulas))
    # All is there or shown by its style: there is nothing to say.
    said = page.get_by_test_id(f"response-card-{label}").get_by_test_id("lost")
    pairs.append(("said to be lost", said.all_inner_texts(), []))
    return [pair for pair in pairs if pair[1] != pair[2]]


def first_strong(text: str) -> str | None:
    kinds = (unicodedata.bidirectional(sign) for sign in text)
    return next(({"L": "ltr"}.get(kind, "rtl") for kind in kinds if kind in {"L", "R", "AL"}), None)


def expect_directions(shown: Locator) -> None:
    for text, direction, align in shown.evaluate(BLOCKS):
        assert direction == (first_strong(text) or direction), text
        assert align in {"start", "right", "left", "center"}
    for marker in shown.locator("li > .item-number, li > .bullet").all():
        item: Any = marker.locator("xpath=..")
        inside, outside = marker.bounding_box(), item.bounding_box()
        assert inside
        assert outside
        if item.evaluate("li => getComputedStyle(li).direction") == "rtl":
            assert abs(inside["x"] + inside["width"] - outside["x"] - outside["width"]) < 2
        else:
            assert abs(inside["x"] - outside["x"]) < 2


def expect_whole_words(shown: Locator, columns: int) -> None:
    assert shown.evaluate(BROKEN_WORDS) == []
    box = shown.locator(".scroll")
    if columns == 20:
        assert box.evaluate("node => node.scrollWidth > node.clientWidth && node.tabIndex === 0")
    assert box.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_what_is_read_and_copied_is_the_source(
    visits: Visits, corpus_round: list[list[Sample]]
) -> None:
    bench = visits.bench("lena")
    seen: list[str] = []
    wrong: list[tuple[str, Any, Any]] = []
    for number in range(len(corpus_round)):
        found = cards(bench)
        for label, sample in found.items():
            wrong += infidelities(bench.page, label, sample)
            shown = prose(bench.page, label)
            expect_directions(shown)
            if "table" in sample.constructs:
                expect_whole_words(shown, sample.source.split("\n")[0].count("|") - 1)
            seen.append(sample.source)
        bench.rank(*LETTERS)
        bench.submit()
        if number + 1 < len(corpus_round):
            bench.wait_for_task()
    assert not wrong, "\n".join(map(repr, wrong))
    assert {sample.source for sample in SAMPLES.values()} <= set(seen)


LOSES = 'Read [the page](https://example.org/ "by nobody at all") first.'


def test_a_card_says_what_its_formatting_hides(visits: Visits, start_round: StartRound) -> None:
    start_round(1, k=2, texts=[LOSES, "Read [the page](https://example.org/) first."])
    page = visits.bench("lena").page
    card = page.locator("[data-testid^='response-card-']").filter(has=page.get_by_test_id("lost"))
    expect(card).to_have_count(1)
    expect(card.get_by_test_id("lost")).to_contain_text('"by nobody at all"')
    card.get_by_test_id("as-written").click()
    assert card.locator("pre.raw").inner_text() == LOSES
    card.get_by_test_id("as-written").click()
    assert card.locator(".prose").inner_text() == "Read the page first."


POEM = PLAIN["poem"].source
CHAT = PLAIN["Arabic"].source


def test_every_page_shows_the_same(
    visits: Visits, project: Project, start_round: StartRound
) -> None:
    project.guidelines = POEM
    project.description = CHAT
    project.save()
    turns = [("user", POEM), ("assistant", POEM), ("user", CHAT)]
    source = json.dumps({"messages": [{"role": who, "content": what} for who, what in turns]})
    import_prompts(project_id=project.pk, actor_id=None, source=source, format="jsonl")
    start_round(0, k=2, texts=[POEM, CHAT])
    prompt = Prompt.objects.get()
    bench = visits.bench("lena")
    lena, ada = bench.page, visits.page("ada")
    expect_texts(lena, "[data-testid=conversation] .prose", [POEM, POEM, CHAT])
    bench.press("g")
    expect_texts(lena, "[data-testid=dialog-guidelines] .prose", [POEM])
    bench.press("Escape", "a", "b", "x")
    lena.get_by_test_id("reason-B").fill(CHAT.split("\n")[0])
    lena.get_by_test_id("rationale").fill(CHAT)
    lena.get_by_test_id("better-blank").click()
    lena.get_by_test_id("better-answer").fill(POEM)
    for field in ["reason-B", "rationale", "better-answer"]:
        style = "node => getComputedStyle(node).direction"
        expected = "ltr" if field == "better-answer" else "rtl"
        assert lena.get_by_test_id(field).evaluate(style) == expected
    lena.get_by_test_id("better-answer").press("Control+Enter")
    bench.expect_sent(1)
    ranking = Ranking.objects.get().pk
    pages = {
        f"/rankings/{ranking}": (lena, ".sheet .prose", [POEM] * 4 + [CHAT] * 2),
        f"/projects/tone/rankings/{ranking}": (
            ada,
            "[data-testid=ranking-record] .prose",
            [POEM] * 4 + [CHAT] * 2,
        ),
        f"/projects/tone/prompts/{prompt.pk}": (ada, ".conversation .prose", [POEM, POEM, CHAT]),
        "/projects/tone/overview": (ada, "main details .prose", [POEM]),
        "/projects/tone/settings": (ada, "[data-testid=guidelines-preview] .prose", [POEM]),
    }
    for path, (page, where, texts) in pages.items():
        page.goto(path)
        expect(page.locator(where).first).to_be_attached()
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        expect_texts(page, where, texts)
        if "rankings" in path:
            plain = page.locator("p.plain").first
            assert plain.inner_text() == CHAT
            assert plain.evaluate("node => getComputedStyle(node).direction") == "rtl"
    for path, (page, where) in {
        "/rankings": (lena, "[data-testid=my-rankings] .excerpt"),
        "/projects/tone/prompts": (ada, "[data-testid=prompts] .excerpt"),
        "/projects/tone/rankings": (ada, "[data-testid=rankings] .excerpt"),
        "/projects/tone/comparisons": (ada, "[data-testid=comparisons] .prompt .excerpt"),
    }.items():
        page.goto(path)
        excerpt = page.locator(where).first
        expect(excerpt).to_have_text(prompt.excerpt)
        assert excerpt.evaluate("node => getComputedStyle(node).direction") == "rtl"


def expect_texts(page: Page, where: str, texts: list[str]) -> None:
    """The texts are there, each as it was written; responses stand in any order."""
    expect(page.locator(where)).to_have_count(len(texts))
    expect(page.locator(f"{where}:not(:has(*))")).to_have_count(0)
    shown = [
        each.evaluate("node => node.innerText").rstrip("\n") for each in page.locator(where).all()
    ]
    assert sorted(shown) == sorted(texts)
