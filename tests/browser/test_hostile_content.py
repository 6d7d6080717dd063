"""What models and people write is text: nothing in it runs, and nothing is loaded because of it.

The fixture `visits` fails a test with any request to another host, any error in the console (such
as a violation of the Content-Security-Policy), and any uncaught exception.
"""

import json

import pytest
from playwright.sync_api import Page, expect

from annotate.models import Project, Prompt, Ranking, Round
from annotate.services.prompts import import_prompts
from tests.browser.conftest import StartRound, Visits
from tests.browser.screen import eventually
from tests.services import Site

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


MARKUP = """<script>window.owned = "script"</script>
<img src=x onerror="window.owned = 'img'"> <svg onload="window.owned='svg'"><a>b</a></svg>
<iframe srcdoc="<script>parent.owned='frame'</script>"></iframe>
<style>body { background: url(https://evil.example/style) }</style>
<form action="https://evil.example/"><button>Sign in again</button></form>
<math><mtext></form><form><mglyph><style></math><img src onerror="window.owned='mxss'">"""
LINKS = """[click](javascript:window.owned='link') [tab](java\tscript:window.owned='tab')
[page](data:text/html,<script>window.owned='data'</script>) [here](/admin/) [file](file:///etc)
![pixel](https://evil.example/pixel.png "x") ![inside](data:image/svg+xml,<svg/onload=owned=1>)
[fine](https://example.org/?a=1&b=2) <javascript:window.owned='auto'> www.example.org
[quote]: https://evil.example/" onmouseover="window.owned='mouse'
[quote]"""
BROKEN = r"""$$\frac{1}{$$ $\href{javascript:window.owned='math'}{x}$ \(\includegraphics{https://evil.example}\)
$\htmlClass{x}{y}$ $\url{https://evil.example}$ $$\def\a{\a\a}\a$$ $E = mc^2$
**bold _both* ~~gone `code | a | b |
|--|
- [ ] todo [[[[((( ![ ](
```js
const open = "never closed";"""
HUGE = "word " * 50_000
TEXTS = [MARKUP, LINKS, BROKEN, HUGE]
NAME = "<img src=x onerror=\"window.owned='name'\"> & Co"


@pytest.fixture
def hostile_round(project: Project, start_round: StartRound) -> Round:
    project.name = NAME
    project.description = project.guidelines = MARKUP + LINKS
    project.tags = ["<b>tag</b>"]
    project.axes = [{"key": "axis", "name": "<i>axis</i>", "min": 1, "max": 3}]
    project.save()
    prompt = {
        "id": "<script>1</script>",
        "messages": [
            {"role": "system", "content": MARKUP},
            {"role": "user", "content": BROKEN},
            {"role": "assistant", "content": "> " * 3000 + " deep"},
            {"role": "user", "content": MARKUP + "\n\n" + LINKS},
        ],
        "documents": [{"title": NAME, "text": MARKUP + LINKS}],
        "tags": [NAME[:30]],
    }
    source = json.dumps(prompt)
    import_prompts(project_id=project.pk, actor_id=None, source=source, format="jsonl")
    return start_round(0, texts=TEXTS)


def expect_harmless(page: Page) -> None:
    assert page.evaluate("window.owned") is None
    inside = page.locator("main")
    made = (
        "script, img, iframe, object, embed, form[action], style, [onerror], [onload], [style*=url]"
    )
    expect(inside.locator(made)).to_have_count(0)
    links = inside.locator(".prose a[href]").evaluate_all("links => links.map(a => a.protocol)")
    assert set(links) <= {"https:", "http:", "mailto:"}
    targets = inside.locator(".prose a").evaluate_all("links => links.map(a => a.rel)")
    assert set(targets) <= {"noopener noreferrer nofollow"}


def test_at_the_workbench(visits: Visits, hostile_round: Round) -> None:
    bench = visits.bench("lena")
    page = bench.page
    for summary in page.locator("summary").all():
        summary.click()
    expect(page.get_by_test_id("system-prompt")).to_contain_text("<script>window.owned")
    cards = page.locator("[data-testid^='response-text-']")
    expect(cards.filter(has_text='<img src=x onerror="window.owned')).to_have_count(1)
    links = cards.filter(has_text="click")
    expect(links.get_by_role("link", name="fine")).to_have_attribute(
        "href", "https://example.org/?a=1&b=2"
    )
    expect(links.get_by_role("link", name="pixel")).to_have_attribute(
        "href", "https://evil.example/pixel.png"
    )
    links.get_by_text("click").click()
    expect(cards.locator("math")).not_to_have_count(0)
    expect(cards.filter(has_text="never closed").locator("pre code")).to_be_visible()
    expect_harmless(page)
    page.get_by_test_id("tool-guidelines").click()
    expect(page.get_by_test_id("dialog-guidelines")).to_contain_text("<script>window.owned")
    expect_harmless(page)
    bench.press("Escape", "r")
    expect(page.get_by_text(MARKUP.splitlines()[0]).first).to_be_visible()
    expect_harmless(page)


def say_hostile_things(visits: Visits) -> int:
    """Lena ranks, and says in every field what must not run."""
    bench = visits.bench("lena")
    page = bench.page
    bench.rank("A", "B", "C", "D")
    bench.press("x")
    page.get_by_test_id("reason-D").fill(NAME)
    page.get_by_test_id("rationale").fill(MARKUP)
    page.get_by_test_id("better-blank").click()
    page.get_by_test_id("better-answer").fill(MARKUP + LINKS)
    bench.choose("tag-<b>tag</b>")
    page.get_by_test_id("better-answer").press("Control+Enter")
    bench.expect_sent(1)
    return Ranking.objects.get().pk


def test_in_the_records_of_labelers_and_admins(visits: Visits, hostile_round: Round) -> None:
    ranking = say_hostile_things(visits)
    lena, ada = visits.page("lena"), visits.page("ada")
    pages = {
        "/": (lena, "[data-testid=recent-rankings]"),
        "/rankings": (lena, "[data-testid=my-rankings]"),
        f"/rankings/{ranking}": (lena, "[data-testid=said]"),
        "/projects": (ada, "[data-testid=projects]"),
        "/projects/tone/overview": (ada, "[data-testid=count-rankings]"),
        "/projects/tone/prompts": (ada, "[data-testid=prompts]"),
        f"/projects/tone/prompts/{Prompt.objects.get().pk}": (ada, ".conversation"),
        "/projects/tone/rounds/1": (ada, "[data-testid=round-labelers]"),
        "/projects/tone/rankings": (ada, "[data-testid=rankings]"),
        f"/projects/tone/rankings/{ranking}": (ada, "[data-testid=ranking-record]"),
        "/projects/tone/comparisons": (ada, "[data-testid=comparisons]"),
        "/projects/tone/export": (ada, "[data-testid=export-rows-rankings]"),
        "/projects/tone/settings": (ada, "[data-testid=guidelines-preview] .prose"),
        "/projects/tone/audit": (ada, "table"),
    }
    for path, (page, sign) in pages.items():
        page.goto(path)
        expect(page.locator(sign).first).to_be_visible()
        for summary in page.locator("main summary").all():
            summary.click()
        expect_harmless(page)


def test_what_an_import_refuses_is_shown_as_text(visits: Visits, project: Project) -> None:
    page = visits.page("ada", "/projects/tone/prompts/import")
    page.get_by_test_id("import-paste").check(force=True)
    page.get_by_test_id("import-text").fill(NAME + "\n" + json.dumps({"prompt": 3, "id": NAME}))
    page.get_by_test_id("import-submit").click()
    expect(page.get_by_test_id("import-problem").first).to_contain_text("<img src=x")
    expect_harmless(page)


@pytest.mark.parametrize(
    "path", ["/", "/label/tone", "/api/session", "/nowhere", "/static/nowhere"]
)
def test_every_answer_has_a_strict_policy(visits: Visits, site: Site, path: str) -> None:
    reply = visits.page().request.get(path)
    policy = reply.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_the_watch_itself_notices(visits: Visits, project: Project) -> None:
    """Otherwise the tests above would prove nothing."""
    page = visits.page("lena", "/")
    expect(page.get_by_test_id("queue-tone")).to_be_visible()
    page.evaluate(
        """() => {
            const image = document.createElement("img");
            image.src = "https://evil.example/pixel.png";
            document.body.append(image);
        }"""
    )
    eventually(page, lambda: bool(visits.problems))
    assert "evil.example" in visits.problems[0]
    visits.problems.clear()
