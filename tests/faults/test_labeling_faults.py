"""Whatever dies while people label, their rankings are there once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from annotate.launch.child import Child
from annotate.models import Comparison, Project, Ranking, Slot, User
from tests import cast
from tests.faults.breaking import kill_and_restart, wait
from tests.faults.people import Labeler
from tests.patience import PATIENCE_S
from tests.services import Site

pytestmark = pytest.mark.django_db(transaction=True)
TASKS = 40


@pytest.fixture
def ready(project: Project) -> None:
    cast.add_prompts(project, TASKS)
    cast.write_completions(cast.make_round(project, User.objects.get(username="ada")))


def test_the_web_server_dies_during_a_submit(site: Site, ready: None) -> None:
    with Labeler(site.url, "lena") as lena, ThreadPoolExecutor(1) as thread:
        claim = lena.take([])
        assert claim is not None
        with transaction.atomic():
            # Whoever submits waits for this lock: the server dies in the middle of its work.
            list(Slot.objects.select_for_update().filter(claim_id=claim["id"]))
            receipt = thread.submit(lena.rank, claim)
            wait("the submit to hang", submit_hangs)
            site.child.kill()
        site.child.start()
        assert receipt.result(timeout=PATIENCE_S).status_code in (200, 201)
        wait("the server", lambda: lena.take([]) is not None)
    assert Ranking.objects.count() == 1
    assert Comparison.objects.count() == 6


def submit_hangs() -> bool:
    """Whether a statement waits for our lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # or one transaction sees no change
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        (count,) = cursor.fetchone()
    return bool(count)


@pytest.mark.parametrize("victim", ["postgres", "valkey", "site"])
def test_labelers_go_on_after_a_kill(
    victim: str, request: pytest.FixtureRequest, site: Site, ready: None
) -> None:
    fixture = request.getfixturevalue(victim)
    child: Child = fixture.child if isinstance(fixture, Site) else fixture
    first = threading.Event()
    receipts: list[int] = []

    def label(labeler: Labeler) -> None:
        while claim := labeler.take([]):
            receipts.append(labeler.rank(claim).json()["id"])
            if len(receipts) > TASKS // 4:
                first.set()

    with (
        Labeler(site.url, "lena") as lena,
        Labeler(site.url, "luis") as luis,
        ThreadPoolExecutor(2) as threads,
    ):
        working = [threads.submit(label, labeler) for labeler in (lena, luis)]
        assert first.wait(PATIENCE_S)
        kill_and_restart(child)
        for one in working:
            one.result(timeout=PATIENCE_S)

    assert len(set(receipts)) == len(receipts) == TASKS
    assert set(Ranking.objects.values_list("pk", flat=True)) == set(receipts)
    assert Comparison.objects.count() == TASKS * 6
    assert not Slot.objects.filter(ranking=None).exists()
