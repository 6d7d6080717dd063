"""What a person does in the browser, in the words of a test."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Page, Route, expect

from annotate.models import Ranking
from tests import cast
from tests.patience import PATIENCE_S


def words(text: str) -> str:
    """A text without its line breaks, which the screen shows in its own way."""
    return " ".join(text.split())


def eventually(page: Page, condition: Callable[[], bool]) -> None:
    """Wait for something outside of the page, such as a row in the database."""
    patience = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < patience, "it did not come about"
        page.wait_for_timeout(50)


@contextmanager
def held_back(page: Page) -> Iterator[None]:
    """What the page asks of the server meanwhile is asked when this ends."""
    held: list[Route] = []

    def hold(route: Route) -> None:  # Playwright takes functions of Python only
        held.append(route)

    page.route("**/api/**", hold)
    try:
        yield
    finally:
        page.unroute("**/api/**", hold)
        for route in held:
            route.continue_()


@dataclass(frozen=True)
class Judged:
    """A ranking as its labeler saw it on the screen: texts, best tier first."""

    conversation: str
    tiers: tuple[frozenset[str], ...]
    unacceptable: frozenset[str]


def sign_in(page: Page, username: str, path: str = "/") -> None:
    """Open an address as somebody who has to sign in first."""
    page.goto(path)
    page.get_by_test_id("sign-in-username").fill(username)
    page.get_by_test_id("sign-in-password").fill(cast.PASSWORD)
    page.get_by_test_id("sign-in-submit").click()
    expect(page.get_by_test_id("account-menu")).to_be_visible()


@dataclass
class Workbench:
    """The labeling page of a project."""

    page: Page

    def wait_for_task(self) -> None:
        expect(self.page.get_by_test_id("response-card-A")).to_be_visible()

    def show_raw(self) -> None:
        """Texts as the model wrote them instead of rendered Markdown."""
        self.press("r")

    @property
    def conversation(self) -> str:
        return words(self.page.get_by_test_id("conversation").inner_text())

    def text_of(self, label: str) -> str:
        return words(self.page.get_by_test_id(f"response-text-{label}").inner_text())

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def judged(self, tiers: Sequence[str], unacceptable: str = "") -> Judged:
        """What a ranking like ["B", "AD", "C"] says of the texts on the screen."""
        texts = {label: self.text_of(label) for tier in tiers for label in tier}
        return Judged(
            self.conversation,
            tuple(frozenset(texts[label] for label in tier) for tier in tiers),
            frozenset(texts[label] for label in unacceptable),
        )

    def submit(self) -> None:
        """Enter, and wait until the task on the screen is another one or none is left."""
        before = self.task_id
        self.press("Enter")
        self.page.wait_for_function(
            """before => {
                const task = document.querySelector('[data-testid="task"]');
                return !task || task.dataset.claim !== before;
            }""",
            arg=before,
        )

    @property
    def task_id(self) -> str | None:
        return self.page.get_by_test_id("task").get_attribute("data-claim")

    def waiting(self) -> int:
        """How many submits the outbox holds."""
        return int(self.page.get_by_test_id("outbox-count").get_attribute("data-waiting") or 0)

    def expect_waiting(self, count: int) -> None:
        outbox = self.page.get_by_test_id("outbox-count")
        expect(outbox).to_have_attribute("data-waiting", str(count))

    @property
    def labels(self) -> str:
        """The letters of the responses on the screen."""
        cards = self.page.locator("[data-testid^='response-card-']")
        return "".join(str(card.get_attribute("data-testid"))[-1] for card in cards.all())

    def expect_order(self, *tiers: str, unacceptable: str = "") -> None:
        """The cards and the sentence for screen readers say this order, best tier first."""
        for label in self.labels:
            place = next((str(n) for n, tier in enumerate(tiers, 1) if label in tier), "")
            card = self.page.get_by_test_id(f"response-card-{label}")
            expect(card).to_have_attribute("data-place", place)
            marked = "true" if label in unacceptable else "false"
            expect(card).to_have_attribute("data-unacceptable", marked)

    def rank(self, *tiers: str) -> None:
        """Press the letters of the tiers, best first, and the key for ties within them."""
        for tier in tiers:
            self.press(tier[0])
            for label in tier[1:]:
                self.press("=", label)

    def expect_task(self, claim: str | None) -> None:
        expect(self.page.get_by_test_id("task")).to_have_attribute("data-claim", str(claim))

    def wait_for_next(self) -> None:
        """Until the task after this one has been fetched ahead."""
        held = "navigator.locks.query().then(q => q.held.filter(l => /claim/.test(l.name)).length)"
        self.page.wait_for_function(f"() => {held}.then(n => n >= 2)")

    def expect_sent(self, rankings: int) -> None:
        """The server has so many rankings in all, and the outbox is empty."""
        eventually(self.page, lambda: Ranking.objects.count() == rankings)
        self.expect_waiting(0)

    def choose(self, test_id: str) -> None:
        """Click the label of a hidden radio button or checkbox."""
        self.page.get_by_test_id(test_id).locator("..").click()
