"""Each kind of work has a room of its own, and one that is full says so at once."""

import asyncio
import json
import os
import threading

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from annotate.web import rooms
from annotate.web.bodies import TooSlow
from annotate.web.rooms import Full, Kind, Room, kind_of
from annotate.web.site import refusal
from tests.patience import PATIENCE_S


@pytest.mark.parametrize(
    ("request_line", "kind"),
    [
        ("POST /api/session", rooms.SIGN_IN),
        ("POST /admin/login/", rooms.SIGN_IN),
        ("GET /api/session", rooms.OPEN),
        ("DELETE /api/session", rooms.OPEN),
        ("GET /admin/login/", rooms.OTHER),
        ("GET /admin/annotate/project/", rooms.OTHER),
        ("GET /api/health", rooms.OPEN),
        ("GET /api/schema", rooms.OPEN),
        ("GET /", rooms.OPEN),
        ("GET /label/tone", rooms.OPEN),
        ("GET /static/assets/index-1.js", rooms.OPEN),
        ("GET /a\nb", rooms.OPEN),
        ("GET /api/queues", rooms.LABELING),
        ("POST /api/projects/tone/claims", rooms.LABELING),
        ("POST /api/claims/7/ranking", rooms.LABELING),
        ("PUT /api/claims/7/draft", rooms.LABELING),
        ("DELETE /api/claims/7/kept/2", rooms.LABELING),
        ("GET /api/rankings/mine", rooms.LABELING),
        ("POST /api/rankings/7/undo", rooms.LABELING),
        ("POST /api/rankings/7/revisions", rooms.LABELING),
        ("GET /api/rankings/7", rooms.OTHER),
        ("POST /api/projects/tone/prompts/import", rooms.UPLOAD),
        ("GET /api/projects/tone/prompts/import", rooms.OTHER),
        ("POST /api/projects/tone/runs/estimate", rooms.ESTIMATE),
        ("POST /api/projects/tone/rounds/estimate", rooms.OTHER),
        ("GET /api/projects/tone/export/rankings.jsonl", rooms.OTHER),
    ],
)
def test_the_room_of_a_request(request_line: str, kind: Kind) -> None:
    method, path = request_line.split(" ")
    assert kind_of(method, path) is kind


def test_what_labelers_ask_for_all_lies_in_their_room() -> None:
    """Whatever is added below /api/claims/ is theirs too."""
    claims = [path for path in addresses(get_resolver()) if path.startswith("/api/claims/")]
    assert len(claims) > 6
    assert {kind_of("POST", path) for path in claims} == {rooms.LABELING}


def addresses(resolver: URLResolver, before: str = "/") -> list[str]:
    found = []
    for each in resolver.url_patterns:
        path = before + str(each.pattern)
        found += [path] if isinstance(each, URLPattern) else addresses(each, path)
    return found


def test_a_full_room_refuses_at_once_and_serves_in_order() -> None:
    door = threading.Event()
    served: list[int] = []

    def work(number: int) -> None:
        door.wait(PATIENCE_S)
        served.append(number)

    async def crowd() -> list[BaseException | None]:
        room = Room(Kind("small", threads=1, waiting=2))
        asked = [asyncio.ensure_future(room.run(work, number)) for number in range(5)]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) < 5, "those that are refused do not wait for the others"
        door.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        await room.run(work, 9)  # there is room again
        return answers

    answers = asyncio.run(crowd())
    assert [type(each) for each in answers] == [type(None)] * 3 + [Full] * 2
    assert served == [0, 1, 2, 9]


def test_what_gives_way_does_so_alone() -> None:
    async def niceness(kind: Kind) -> int:
        return await Room(kind).run(os.getpriority, os.PRIO_PROCESS, 0)

    mine = os.getpriority(os.PRIO_PROCESS, 0)
    assert asyncio.run(niceness(rooms.SIGN_IN)) == min(19, mine + rooms.GIVES_WAY_BY)
    assert asyncio.run(niceness(rooms.LABELING)) == mine


@pytest.mark.parametrize(
    ("problem", "status"),
    [(Full(rooms.SIGN_IN), 429), (Full(rooms.OTHER), 503), (TooSlow(), 408)],
)
def test_a_refusal_says_when_to_come_back(problem: Exception, status: int) -> None:
    for path in ("/api/queues", "/rankings"):
        answer = refusal(path, problem)
        assert answer.status_code == status
        assert int(answer["Retry-After"]) >= 1
        assert "try again" in answer.content.decode().lower()
    assert json.loads(refusal("/api/queues", problem).content)["error"]["retry"] is True
