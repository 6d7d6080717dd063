"""A labeler whose program does not give up: it tries again with the same key."""

import time
from typing import Any, Self
from uuid import uuid4

import httpx

from tests import cast
from tests.patience import PATIENCE_S


class Labeler:
    """Signed in over HTTP like a browser."""

    def __init__(self, url: str, username: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False)
        self._username = username

    def __enter__(self) -> Self:
        self._http.get("/api/session")
        body = {"username": self._username, "password": cast.PASSWORD}
        self.post("/api/session", body).raise_for_status()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def post(self, path: str, body: Any) -> httpx.Response:
        token = self._http.cookies.get("csrftoken") or ""
        return self._http.post(path, json=body, headers={"X-CSRFToken": token})

    def take(self, have: list[int]) -> dict[str, Any] | None:
        """The next task, asked for until the server answers; None when there is none."""
        reply = self.insist("/api/projects/tone/claims", {"have": have})
        claim: dict[str, Any] | None = reply.json()["claim"]
        return claim

    def rank(self, claim: dict[str, Any]) -> httpx.Response:
        """Submit the order that was shown, with one key however often it is sent."""
        return self.insist(f"/api/claims/{claim['id']}/ranking", judgment(claim))

    def insist(self, path: str, body: Any) -> httpx.Response:
        """Send until the answer says something other than "later"."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                reply = self.post(path, body)
            except httpx.TransportError:
                reply = None
            if reply is not None and reply.status_code < 500:
                reply.raise_for_status()
                return reply
            if time.monotonic() > end:
                raise RuntimeError(f"no answer from {path} for {PATIENCE_S:.0f} s: {reply}")
            time.sleep(0.2)


def judgment(claim: dict[str, Any]) -> dict[str, Any]:
    """A ranking in the order shown, with a key of its own."""
    tiers = [[response["label"]] for response in claim["responses"]]
    return {"key": str(uuid4()), "tiers": tiers, "active_ms": 1000}
