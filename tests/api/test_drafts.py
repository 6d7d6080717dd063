"""One person's texts from several pages: the newest by version counts, and no other is lost."""

import itertools
from typing import Any

import pytest
from rest_framework.test import APIClient

from annotate.models import Draft, KeptDraft, Round
from tests.api.scene import ranking_body


@pytest.fixture
def claim(lena: APIClient, round_one: Round) -> int:
    return int(take(lena)["id"])


def take(client: APIClient) -> dict[str, Any]:
    found: dict[str, Any] = client.post("/api/projects/tone/claims", {}, format="json").json()[
        "claim"
    ]
    return found


def save(client: APIClient, claim: int, text: str, **origin: Any) -> dict[str, Any]:
    body = {"body": {"rationale": text, "tiers": [["A"]], "active_ms": len(text)}, **origin}
    response = client.put(f"/api/claims/{claim}/draft", body, format="json")
    assert response.status_code == 200, response.content
    saved: dict[str, Any] = response.json()
    return saved


def text_of(claim: dict[str, Any]) -> str:
    return str(claim["draft"]["rationale"])


def kept_of(claim: dict[str, Any]) -> list[str]:
    return sorted(str(text["body"]["rationale"]) for text in claim["kept"])


def test_an_older_text_never_replaces_a_newer_one(lena: APIClient, claim: int) -> None:
    """A laptop, a desktop that goes on from its text, and the laptop again."""
    first = save(lena, claim, "first thoughts", base=0, writer="laptop", step=1)
    seen = take(lena)
    assert seen["draft_at"] == {"version": first["version"], "writer": "laptop", "step": 1}
    second = save(lena, claim, "a longer text", base=first["version"], writer="desktop", step=1)
    assert second["version"] > first["version"]
    third = save(lena, claim, "first thoughts!", base=first["version"], writer="page 3", step=1)
    assert third["version"] == second["version"]
    assert third["kept"] is not None
    found = take(lena)
    assert text_of(found) == "a longer text"
    assert kept_of(found) == ["first thoughts!"]


def test_what_a_page_goes_on_writing_beside_stays_one_text(lena: APIClient, claim: int) -> None:
    save(lena, claim, "desktop", base=0, writer="desktop", step=1)
    for step, text in ((1, "lap"), (3, "laptop text"), (2, "laptop")):
        save(lena, claim, text, base=0, writer="laptop", step=step)
    found = take(lena)
    assert (text_of(found), kept_of(found)) == ("desktop", ["laptop text"])


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_of_one_pages_requests_the_later_counts_in_any_order(
    lena: APIClient, claim: int, order: tuple[int, ...]
) -> None:
    """All are made from what the page showed: none had an answer when the next one left."""
    for step in order:
        saved = save(lena, claim, f"text {step}", base=0, writer="page", step=step)
        assert saved["kept"] is None
    found = take(lena)
    assert (text_of(found), found["kept"]) == ("text 3", [])


def test_the_same_request_again_changes_nothing(lena: APIClient, claim: int) -> None:
    first = save(lena, claim, "text", base=0, writer="page", step=1)
    save(lena, claim, "elsewhere", base=first["version"], writer="other", step=1)
    for _ in range(2):
        again = save(lena, claim, "text", base=0, writer="page", step=1)
    assert (text_of(take(lena)), kept_of(take(lena))) == ("elsewhere", ["text"])
    assert again["kept"] == KeptDraft.objects.get().pk


def test_the_same_words_are_not_kept_twice(lena: APIClient, claim: int) -> None:
    saved = save(lena, claim, "same", base=0, writer="one", step=1)
    other = save(lena, claim, "same", base=0, writer="two", step=1)
    assert other == {**saved, "kept": None}
    assert take(lena)["kept"] == []


def test_a_script_that_names_no_version_writes_the_newest(lena: APIClient, claim: int) -> None:
    save(lena, claim, "page", base=0, writer="page", step=1)
    first = save(lena, claim, "script")
    second = save(lena, claim, "script again")
    assert second["version"] > first["version"]
    assert (text_of(take(lena)), take(lena)["kept"]) == ("script again", [])


def test_no_clock_of_a_device_decides(lena: APIClient, claim: int) -> None:
    first = save(lena, claim, "before", base=0, writer="laptop", step=1)
    body = {"rationale": "after", "saved_ms": 1}
    lena.put(
        f"/api/claims/{claim}/draft",
        {"body": body, "base": first["version"], "writer": "desktop", "step": 1},
        format="json",
    )
    late = {"rationale": "before", "saved_ms": 9_000_000_000_000}
    lena.put(
        f"/api/claims/{claim}/draft",
        {"body": late, "base": first["version"], "writer": "third", "step": 1},
        format="json",
    )
    assert text_of(take(lena)) == "after"


class TestChoosing:
    @pytest.fixture
    def kept(self, lena: APIClient, claim: int) -> int:
        save(lena, claim, "desktop", base=0, writer="desktop", step=4)
        saved = save(lena, claim, "laptop", base=0, writer="laptop", step=2)
        return int(saved["kept"])

    def test_the_kept_one_is_taken_over_and_nothing_is_lost(
        self, lena: APIClient, claim: int, kept: int
    ) -> None:
        before = take(lena)["draft_at"]["version"]
        used = lena.post(f"/api/claims/{claim}/kept/{kept}")
        assert used.status_code == 200, used.content
        found = used.json()["claim"]
        assert found["id"] == claim
        assert (text_of(found), kept_of(found)) == ("laptop", ["desktop"])
        assert found["draft_at"]["version"] > before
        back = lena.post(f"/api/claims/{claim}/kept/{found['kept'][0]['id']}").json()["claim"]
        assert (text_of(back), kept_of(back)) == ("desktop", ["laptop"])

    def test_the_page_whose_text_was_replaced_writes_beside(
        self, lena: APIClient, claim: int, kept: int
    ) -> None:
        seen = take(lena)["draft_at"]["version"]
        lena.post(f"/api/claims/{claim}/kept/{kept}")
        save(lena, claim, "desktop goes on", base=seen, writer="desktop", step=5)
        found = take(lena)
        assert (text_of(found), kept_of(found)) == ("laptop", ["desktop goes on"])

    def test_it_can_be_forgotten(self, lena: APIClient, claim: int, kept: int) -> None:
        for _ in range(2):
            assert lena.delete(f"/api/claims/{claim}/kept/{kept}").status_code == 204
        assert take(lena)["kept"] == []
        assert lena.post(f"/api/claims/{claim}/kept/{kept}").status_code == 404

    def test_it_is_nobody_elses(
        self, lena: APIClient, luis: APIClient, claim: int, kept: int
    ) -> None:
        theirs = int(take(luis)["id"])
        for of in (claim, theirs):
            assert luis.post(f"/api/claims/{of}/kept/{kept}").status_code == 404
            luis.delete(f"/api/claims/{of}/kept/{kept}")
        assert kept_of(take(lena)) == ["laptop"]

    def test_the_claim_shows_both(self, lena: APIClient, claim: int, kept: int) -> None:
        shown = lena.get(f"/api/claims/{claim}").json()["claim"]
        assert (text_of(shown), kept_of(shown)) == ("desktop", ["laptop"])
        assert shown["responses"] == take(lena)["responses"]


class TestSubmitting:
    def submit(self, client: APIClient, claim: int, **more: Any) -> int:
        body = ranking_body(rationale="said", **more)
        response = client.post(f"/api/claims/{claim}/ranking", body, format="json")
        assert response.status_code == 201, response.content
        return int(response.json()["id"])

    def test_the_draft_that_was_sent_goes(self, lena: APIClient, claim: int) -> None:
        saved = save(lena, claim, "page", base=0, writer="page", step=1)
        self.submit(lena, claim, draft={"base": saved["version"], "writer": "page"})
        assert not Draft.objects.exists()

    def test_so_does_one_whose_answer_was_still_on_its_way(
        self, lena: APIClient, claim: int
    ) -> None:
        save(lena, claim, "page", base=0, writer="page", step=1)
        self.submit(lena, claim, draft={"base": 0, "writer": "page"})
        assert not Draft.objects.exists()

    def test_a_script_drops_the_draft_as_ever(self, lena: APIClient, claim: int) -> None:
        save(lena, claim, "page", base=0, writer="page", step=1)
        self.submit(lena, claim)
        assert not Draft.objects.exists()

    def test_a_newer_text_that_the_page_never_showed_is_there_after_an_undo(
        self, lena: APIClient, claim: int
    ) -> None:
        save(lena, claim, "desktop", base=0, writer="desktop", step=1)
        save(lena, claim, "laptop", base=0, writer="laptop", step=1)
        ranking = self.submit(lena, claim, draft={"base": 0, "writer": "laptop"})
        found = lena.post(f"/api/rankings/{ranking}/undo").json()["claim"]
        assert text_of(found) == "said"
        assert kept_of(found) == ["desktop"]

    def test_a_new_draft_after_an_undo_never_repeats_a_version(
        self, lena: APIClient, claim: int
    ) -> None:
        saved = save(lena, claim, "page", base=0, writer="page", step=1)
        ranking = self.submit(lena, claim)
        found = lena.post(f"/api/rankings/{ranking}/undo").json()["claim"]
        assert found["draft_at"]["version"] > saved["version"]
        late = save(lena, claim, "late", base=saved["version"], writer="page", step=2)
        assert late["kept"] is not None
        assert text_of(take(lena)) == "said"


def test_texts_beside_are_bounded(lena: APIClient, claim: int) -> None:
    save(lena, claim, "newest", base=0, writer="desktop", step=1)
    for number in range(23):
        save(lena, claim, f"page {number}", base=0, writer=f"page {number}", step=1)
    assert kept_of(take(lena)) == sorted(f"page {number}" for number in range(3, 23))


def test_an_outdated_revision_names_the_newest(lena: APIClient, claim: int) -> None:
    first = TestSubmitting().submit(lena, claim)
    path = "/api/rankings/{}/revisions"
    second = lena.post(path.format(first), ranking_body(), format="json").json()["id"]
    error = lena.post(path.format(first), ranking_body(), format="json").json()["error"]
    assert (error["code"], error["ranking"]) == ("outdated", second)
    assert lena.post(path.format(second), ranking_body(), format="json").status_code == 201
