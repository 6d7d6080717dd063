"""64 labelers on the real web server, who replay, give back, run out of time and open two tabs."""

import asyncio
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.utils import timezone

from annotate.models import Claim, Comparison, Project, Ranking, Role, Slot, Task
from annotate.services.projects import create_project
from tests import cast
from tests.annotate.test_concurrency import watch_for_surplus
from tests.benchmarks.load import Browser
from tests.patience import PATIENCE_S
from tests.services import Site

pytestmark = pytest.mark.django_db(transaction=True)
LABELERS, OVERLAP, TASKS, ROUNDS, K = 64, 3, 30, 3, 4
CLAIMS = "/api/projects/tone/claims"
TIERS = [["B"], ["A", "D"], ["C"]]


@pytest.fixture
def project(db: None) -> Project:
    """Three rounds open at the same time."""
    ada = cast.person("ada")
    project = create_project(actor_id=ada.pk, slug="tone", name="Tone")
    cast.add_prompts(project, TASKS)
    for _ in range(ROUNDS):
        cast.write_completions(cast.make_round(project, ada, k=K, overlap=OVERLAP))
    return project


def test_everything_is_ranked_three_times_and_no_more(project: Project, site: Site) -> None:
    sessions = [session(project, f"labeler{number}") for number in range(LABELERS)]
    port = int(site.url.rsplit(":", 1)[1])
    done = threading.Event()
    surplus: list[tuple[int, int]] = []
    with ThreadPoolExecutor(2) as threads:
        watch = threads.submit(watch_for_surplus, done, surplus)
        clock = threads.submit(let_leases_run_out, done)
        try:
            receipts = asyncio.run(label(port, sessions))
        finally:
            done.set()
        watch.result(timeout=PATIENCE_S)
        clock.result(timeout=PATIENCE_S)

    assert surplus == []
    assert not Slot.objects.filter(ranking=None).exists(), "every slot is used"
    filled = Ranking.objects.filter(slot__isnull=False, current=True)
    per_task = Counter(filled.values_list("task_id", flat=True))
    assert per_task == dict.fromkeys(Task.objects.values_list("pk", flat=True), OVERLAP)
    said = Counter(Ranking.objects.filter(current=True).values_list("task_id", "labeler_id"))
    assert max(said.values()) == 1, "the same labeler twice"
    assert len(receipts) == len(set(receipts))
    assert set(Ranking.objects.values_list("pk", flat=True)) == set(receipts), "lost or doubled"
    assert Comparison.objects.count() == len(receipts) * K * (K - 1) // 2


def test_one_labeler_who_asks_twelve_times_at_once(project: Project, site: Site) -> None:
    """Eight tasks are the most that somebody holds; it had become twelve."""
    port = int(site.url.rsplit(":", 1)[1])
    cookie = session(project, "lena")
    answers = asyncio.run(at_once(port, cookie, 12))
    assert Counter(status for status, _ in answers) == {200: 8, 409: 4}
    assert {answer["error"]["code"] for status, answer in answers if status == 409} == {
        "too_many_claims"
    }
    assert Claim.objects.filter(state="live").count() == 8
    assert Slot.objects.filter(claim__isnull=False).count() == 8


async def at_once(port: int, cookie: str, times: int) -> list[tuple[int, Any]]:
    """As many connections, whose requests for a task all say that none is held yet."""
    browsers = [Browser("127.0.0.1", port, {"sessionid": cookie}) for _ in range(times)]
    for browser in browsers:
        await browser.call("GET", "/api/session")
    held: list[int] = []

    async def ask(browser: Browser) -> tuple[int, Any]:
        while True:
            status, answer = await browser.call("POST", CLAIMS, {"have": list(held)})
            if status != 200 or answer["claim"]["id"] not in held:
                held.extend([] if status != 200 else [answer["claim"]["id"]])
                return status, answer

    return await asyncio.gather(*map(ask, browsers))


def session(project: Project, username: str) -> str:
    return str(
        cast.signed_in(cast.member(project, username, Role.LABELER)).cookies["sessionid"].value
    )


async def label(port: int, sessions: list[str]) -> list[int]:
    """All labelers at once, until nothing is left; the ids on their receipts."""
    people = [labeler(port, cookie, random.Random(cookie)) for cookie in sessions]
    return [receipt for receipts in await asyncio.gather(*people) for receipt in receipts]


async def labeler(port: int, cookie: str, dice: random.Random) -> list[int]:
    browser = Browser("127.0.0.1", port, {"sessionid": cookie})
    await browser.call("GET", "/api/session")  # for the CSRF token
    receipts: list[int] = []
    while True:
        claim, reason = await take(browser)
        if claim is not None:
            receipts += await deal_with(browser, claim, dice)
        elif reason == "all_done":
            return receipts
        else:
            await asyncio.sleep(0.3)


async def take(browser: Browser, have: tuple[int, ...] = ()) -> tuple[Any, str]:
    status, answer = await browser.call("POST", CLAIMS, {"have": list(have)})
    assert status == 200, answer
    return answer["claim"], (answer["reason"] or {}).get("code", "")


async def deal_with(browser: Browser, claim: Any, dice: random.Random) -> list[int]:
    """What people do with a task: mostly rank it."""
    address = f"/api/claims/{claim['id']}"
    match dice.random():
        case chance if chance < 0.1:
            status, answer = await browser.call("POST", f"{address}/release")
            assert status == 204, answer
            return []
        case chance if chance < 0.2:  # thinks for long, in vain or not
            await asyncio.sleep(0.1)
            status, answer = await browser.call("POST", f"{address}/renew")
            assert status in (200, 409), answer
        case chance if chance < 0.3:  # a second tab, which takes the next task ahead
            ahead, _ = await take(browser, have=(claim["id"],))
            if ahead is not None:
                assert ahead["id"] != claim["id"]
                assert (ahead["round"], ahead["prompt"]) != (claim["round"], claim["prompt"])
                return [await submit(browser, claim), await submit(browser, ahead)]
        case chance if chance < 0.4:
            body = {"body": {"tiers": TIERS}}
            status, answer = await browser.call("PUT", f"{address}/draft", body)
            assert status == 200, answer
    return [await submit(browser, claim)]


async def submit(browser: Browser, claim: Any) -> int:
    """Sent twice, as when the first answer got lost: the second answer is the same."""
    body = {"key": str(uuid4()), "tiers": TIERS, "active_ms": 1000}
    address = f"/api/claims/{claim['id']}/ranking"
    status, receipt = await browser.call("POST", address, body)
    assert status == 201, receipt
    status, again = await browser.call("POST", address, body)
    assert status == 200, again
    assert again["id"] == receipt["id"]
    return int(receipt["id"])


def let_leases_run_out(done: threading.Event) -> None:
    """Now and then somebody's time on a task is over, while they may be about to submit."""
    try:
        while not done.wait(0.02):
            held = Slot.objects.filter(ranking=None, claim__isnull=False).order_by("?").first()
            if held is not None and held.claim_id is not None:
                past = timezone.now() - timedelta(seconds=1)
                Slot.objects.filter(pk=held.pk, ranking=None, claim_id=held.claim_id).update(
                    lease_until=past
                )
                Claim.objects.filter(pk=held.claim_id, state="live").update(expires_at=past)
    finally:
        connections.close_all()
