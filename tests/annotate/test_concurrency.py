"""64 labelers at once, three rankings a task: the database lets no place be taken twice."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from annotate.models import Claim, ClaimState, Comparison, Project, Ranking, Role, Round, Slot
from annotate.queries.empty import why_empty
from annotate.services import claims, rankings
from annotate.services.projects import create_project
from tests import cast
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.django_db(transaction=True)
LABELERS, OVERLAP, TASKS, K = 64, 3, 200, 4
AT_A_TIME = 32  # threads with a connection each; every labeler takes many turns


@pytest.fixture
def project(db: None) -> Project:
    ada = cast.person("ada")
    project = create_project(actor_id=ada.pk, slug="tone", name="Tone")
    cast.add_prompts(project, TASKS)
    cast.write_completions(cast.make_round(project, ada, k=K, overlap=OVERLAP))
    return project


def test_no_place_is_taken_twice_and_every_place_is_used(project: Project) -> None:
    people = [cast.member(project, f"labeler{n}", Role.LABELER).pk for n in range(LABELERS)]
    watching = threading.Event()
    surplus: list[tuple[int, int]] = []
    with ThreadPoolExecutor(AT_A_TIME + 1) as threads:
        watch = threads.submit(watch_for_surplus, watching, surplus)
        working = [threads.submit(label_until_done, person) for person in people]
        for one in working:
            one.result(timeout=PATIENCE_S)
        watching.set()
        watch.result(timeout=PATIENCE_S)

    assert surplus == []
    round_ = Round.objects.get()
    assert not Slot.objects.filter(round=round_, ranking=None).exists(), "every slot is used"
    current = Ranking.objects.filter(round=round_, current=True)
    assert current.count() == TASKS * OVERLAP
    assert Comparison.objects.count() == TASKS * OVERLAP * K * (K - 1) // 2
    per_task = Counter(current.values_list("task_id", flat=True))
    assert set(per_task.values()) == {OVERLAP}
    pairs = Counter(current.values_list("task_id", "labeler_id"))
    assert max(pairs.values()) == 1, "the same labeler twice"


def test_what_is_just_being_given_back_is_not_the_end(project: Project) -> None:
    """A queue that passes over what others are busy with must not say that all is done."""
    lena = cast.member(project, "lena", Role.LABELER)
    last = Slot.objects.order_by("pk").first()
    assert last is not None
    Slot.objects.exclude(task=last.task_id).delete()
    Slot.objects.filter(task=last.task_id).exclude(pk=last.pk).delete()
    locked, asked = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as threads:
        busy = threads.submit(keep_locked, last.pk, locked, asked)
        assert locked.wait(PATIENCE_S)
        _, held = claims.next_claim(slug="tone", labeler_id=lena.pk)
        reason = why_empty(project.pk, lena.pk)
        asked.set()
        busy.result(timeout=PATIENCE_S)
    assert (held, reason["code"]) == (None, "all_claimed")
    _, held = claims.next_claim(slug="tone", labeler_id=lena.pk)
    assert held is not None


def keep_locked(slot_id: int, locked: threading.Event, asked: threading.Event) -> None:
    """As whoever gives it back does for a moment."""
    try:
        with transaction.atomic():
            Slot.objects.select_for_update().get(pk=slot_id)
            locked.set()
            assert asked.wait(PATIENCE_S)
    finally:
        connections.close_all()


def label_until_done(labeler_id: int) -> None:
    """Rank, and now and then give a task back or let its lease run out, as people do."""
    dice = random.Random(labeler_id)
    try:
        while True:
            _, held = claims.next_claim(slug="tone", labeler_id=labeler_id)
            if held is None:
                if not work_left():
                    return
                continue
            match dice.random():
                case chance if chance < 0.1:
                    claims.release(claim_id=held.claim_id, labeler_id=labeler_id)
                case chance if chance < 0.2:
                    expire(held.claim_id)
                case _:
                    rankings.submit_ranking(
                        claim_id=held.claim_id,
                        labeler_id=labeler_id,
                        key=uuid4(),
                        said=rankings.Said(tiers=[["A"], ["B", "C"], ["D"]]),
                    )
    finally:
        connections.close_all()


def work_left() -> bool:
    """Whether a slot is unfilled that some labeler may still give back or lose."""
    return Slot.objects.filter(ranking=None).exists()


def expire(claim_id: int) -> None:
    """The lease runs out; whoever comes first takes the slot over."""
    past = timezone.now() - timedelta(seconds=1)
    Claim.objects.filter(pk=claim_id, state=ClaimState.LIVE).update(expires_at=past)
    Slot.objects.filter(claim_id=claim_id, ranking=None).update(lease_until=past)


def watch_for_surplus(done: threading.Event, surplus: list[tuple[int, int]]) -> None:
    """Count, all the time, rankings and live claims of every task in one snapshot."""
    try:
        while not done.wait(0.02):
            with connection.cursor() as cursor:
                cursor.execute(
                    """
                    SELECT task_id, count(*) FROM (
                        SELECT task_id, labeler_id FROM annotate_ranking
                         WHERE current AND EXISTS (SELECT FROM annotate_slot s
                                                    WHERE s.ranking_id = annotate_ranking.id)
                        UNION ALL
                        SELECT c.task_id, c.labeler_id FROM annotate_claim c
                          JOIN annotate_slot s ON s.claim_id = c.id AND s.ranking_id IS NULL
                         WHERE c.state = 'live'
                    ) taken GROUP BY task_id HAVING count(*) > %s
                    """,
                    [OVERLAP],
                )
                surplus.extend(cursor.fetchall())
    finally:
        connections.close_all()
