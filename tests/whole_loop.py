"""A whole turn of the loop through the public API, by people who are programs.

An admin and labelers who rank by a rule that nobody told the model. Shared by the end-to-end test
and the benchmark `loop`.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import httpx

from tests.patience import PATIENCE_S

Json = dict[str, Any]
Rule = Callable[[str], float]
UNFINISHED = ("running", "paused")


class Person:
    """Signed in, with the cookies and the token against forgery that a browser has."""

    def __init__(self, url: str, slug: str = "") -> None:
        self._http = httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False)
        self._project = f"/api/projects/{slug}"

    def sign_in(self, username: str, password: str) -> Self:
        self._http.get("/api/session")
        self.post("/api/session", {"username": username, "password": password})
        return self

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        return self._said(self._http.get(self._place(path), params=query))

    def lines(self, path: str) -> list[Json]:
        """A download of JSON lines."""
        reply = self._http.get(self._place(path))
        reply.raise_for_status()
        return [json.loads(line) for line in reply.text.splitlines()]

    def post(self, path: str, body: Json | None = None) -> Any:
        return self._said(self._http.post(self._place(path), json=body or {}, headers=self._mark()))

    def put(self, path: str, body: Json) -> Any:
        return self._said(self._http.put(self._place(path), json=body, headers=self._mark()))

    def _place(self, path: str) -> str:
        return path if path.startswith("/") else f"{self._project}/{path}"

    def _mark(self) -> dict[str, str]:
        return {"X-CSRFToken": self._http.cookies.get("csrftoken") or ""}

    @staticmethod
    def _said(reply: httpx.Response) -> Any:
        if reply.is_error:
            raise RuntimeError(f"{reply.request.method} {reply.request.url.path}: {reply.text}")
        return reply.json() if reply.content else None


def shorter(text: str) -> float:
    """The hidden rule: the fewer characters, the better."""
    return -float(len(text.strip()))


def tiers(responses: Iterable[Json], rule: Rule) -> list[list[str]]:
    """Letters, best first; those that the rule cannot tell apart share a tier."""
    found: dict[float, list[str]] = {}
    for response in responses:
        found.setdefault(rule(response["text"]), []).append(response["label"])
    return [found[value] for value in sorted(found, reverse=True)]


def rank_everything(labelers: Sequence[Person], rule: Rule) -> int:
    """Rank until nobody gets a task any more; returns how many rankings were given."""
    given = 0
    waiting = list(labelers)
    while waiting:
        for labeler in list(waiting):
            claim = labeler.post("claims")["claim"]
            if claim is None:
                waiting.remove(labeler)
                continue
            ranking = {
                "key": str(uuid.uuid4()),
                "tiers": tiers(claim["responses"], rule),
                "active_ms": 2000,
            }
            labeler.post(f"/api/claims/{claim['id']}/ranking", ranking)
            given += 1
    return given


def open_round(admin: Person, *, prompts: Json, k: int, sources: list[Json]) -> int:
    """Start a round of one labeler a task; returns its number."""
    body = {"prompts": prompts, "k": k, "overlap": 1, "sources": sources, "start": True}
    number: int = admin.post("rounds", body)["number"]
    return number


def wait_until_written(admin: Person, number: int, seconds: float) -> None:
    wait(
        f"round {number}",
        lambda: admin.get(f"rounds/{number}")["state"] not in ("draft", "generating"),
        seconds,
    )
    if (found := admin.get(f"rounds/{number}"))["state"] != "labeling":
        raise RuntimeError(f"round {number} is {found['state']}: {found['message']}")


def turn(
    admin: Person,
    seconds: float,
    say: Callable[[str], None] = print,
    compare: Callable[[], object] | None = None,
) -> Json:
    """Begin a step of the loop by hand, tell its timeline, return it when it has ended.

    compare: what people do, again and again, while the step waits for their blind A/B round.
    """
    number = admin.post("loop/step")["number"]
    told = 0
    limit = time.monotonic() + seconds
    while True:
        step: Json = admin.get(f"loop/steps/{number}")
        for event in step["events"][told:]:
            say(f"{event['at'][11:19]} {event['stage']}: {event['text']}")
        told = len(step["events"])
        if step["state"] not in UNFINISHED:
            return step
        if time.monotonic() > limit:
            raise RuntimeError(f"the step still waits: {step['waiting_for']}")
        if compare is not None and step["stage"] == "humans":
            compare()
        time.sleep(1.0)


def wait(what: str, until: Callable[[], bool], seconds: float) -> None:
    """Poll, with an end."""
    limit = time.monotonic() + seconds
    while not until():
        if time.monotonic() > limit:
            raise RuntimeError(f"{what} took more than {seconds:.0f} s")
        time.sleep(0.5)
