"""What a person does in the browser, in the words of a test."""

from collections.abc import Sequence
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from tests import cast

PATIENCE_MS = 20_000


def words(text: str) -> str:
    """A text without its line breaks, which the screen shows in its own way."""
    return " ".join(text.split())


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
    expect(page.get_by_test_id("account-menu")).to_be_visible(timeout=PATIENCE_MS)


@dataclass
class Workbench:
    """The labeling page of a project."""

    page: Page

    def wait_for_task(self) -> None:
        expect(self.page.get_by_test_id("response-card-A")).to_be_visible(timeout=PATIENCE_MS)

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
            timeout=PATIENCE_MS,
        )

    @property
    def task_id(self) -> str | None:
        return self.page.get_by_test_id("task").get_attribute("data-claim")

    def waiting(self) -> int:
        """How many submits the outbox holds."""
        return int(self.page.get_by_test_id("outbox-count").get_attribute("data-waiting") or 0)

    def expect_waiting(self, count: int) -> None:
        outbox = self.page.get_by_test_id("outbox-count")
        expect(outbox).to_have_attribute("data-waiting", str(count), timeout=PATIENCE_MS)
