"""Of more projects than places for adapters, each is answered, by its own model."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from annotate.models import Completion, Project, Round, RoundState, User
from annotate.queries.prompts import PromptFilter
from annotate.services import generation, rounds
from annotate.services.projects import create_project
from annotate.services.rounds import Source
from inference import loading, places, queries
from inference.models import Adapter, Serving
from tests import cast
from tests.inference.fake_vllm import FakeVllm
from tests.inference.swaps.acting import age, ask, look
from tests.patience import PATIENCE_S
from tests.promotion.conftest import Train, elsewhere
from tests.promotion.test_promotion_faults import ask as asked
from tests.promotion.test_promotion_faults import performed
from training.models import Evaluation, EvaluationState, TrainedAdapter
from training.services.evaluations import create_evaluation
from training.services.evaluations.answering import answer_evaluation
from training.services.evaluations.serving import serve_evaluation

pytestmark = pytest.mark.django_db(transaction=True)
EIGHT, SIX = 8, 6


@pytest.fixture
def projects(ada: User) -> list[Project]:
    return [create_project(actor_id=ada.pk, slug=f"p{n}", name=f"P{n}") for n in range(EIGHT)]


@pytest.fixture
def adapters(ready: FakeVllm, projects: list[Project], train: Train) -> list[TrainedAdapter]:
    """Promoted one after the other, the first one the longest ago; on as many places as told."""
    found = []
    for project in projects:
        found.append(train(project=project))
        done = performed(asked(found[-1], project))
        assert (done.state, done.message, done.attempts) == ("done", "", 1)
        age()
    assert ready.most_loaded == SIX
    return found


def name(adapter: TrainedAdapter) -> str:
    return f"base@{adapter.content_hash[:16]}"


def loaded(vllm: FakeVllm, adapters: list[TrainedAdapter]) -> list[int]:
    """Which of them have a place."""
    return [n for n, adapter in enumerate(adapters) if name(adapter) in vllm.models]


def want(adapter: TrainedAdapter) -> None:
    """As a job does that waits for an answer, and the regular check after it."""
    places.ask_for([name(adapter)])
    look()
    look()


def test_the_longest_unasked_gives_its_place_and_comes_back_when_it_is_asked(
    ready: FakeVllm, adapters: list[TrainedAdapter]
) -> None:
    assert loaded(ready, adapters) == [3, 4, 5, 6, 7]
    want(adapters[4])
    want(adapters[0])
    assert loaded(ready, adapters) == [0, 4, 5, 6, 7]
    assert ask("p0/current").adapter_hash == adapters[0].content_hash
    age()
    want(adapters[3])
    assert len(loaded(ready, adapters)) == SIX - 1
    assert 3 in loaded(ready, adapters)
    assert ready.most_loaded == SIX


def test_each_of_them_is_available_with_a_place_or_without(
    ready: FakeVllm, adapters: list[TrainedAdapter], projects: list[Project]
) -> None:
    rows = {row.name: row for row in queries.available_models()}
    assert all(rows[name(adapter)].available for adapter in adapters)
    # Nothing is done for those that nobody asks: they do not take turns for nothing.
    calls = list(ready.lora_calls)
    look()
    assert ready.lora_calls == calls


def test_after_a_restart_those_asked_last_have_the_places(
    ready: FakeVllm, adapters: list[TrainedAdapter]
) -> None:
    for adapter in (adapters[1], adapters[6]):
        Adapter.objects.filter(content_hash=adapter.content_hash).update(asked_at=timezone.now())
    ready.restart()
    for _ in range(3):
        look()
    assert len(loaded(ready, adapters)) == SIX - 1
    assert {1, 6} <= set(loaded(ready, adapters))


def test_one_that_is_asked_keeps_its_place_for_a_turn(
    ready: FakeVllm, adapters: list[TrainedAdapter]
) -> None:
    here = loaded(ready, adapters)
    Serving.objects.update(tested_at=timezone.now())
    for n in here:
        places.ask_for([name(adapters[n])])
    want(adapters[0])
    assert loaded(ready, adapters) == here
    Serving.objects.filter(served_model__name=name(adapters[here[2]])).update(
        tested_at=timezone.now() - 2 * places.TURN
    )
    want(adapters[0])
    assert loaded(ready, adapters) == sorted({0, *here} - {here[2]})


def test_nothing_more_is_asked_of_one_that_is_to_leave(
    ready: FakeVllm, adapters: list[TrainedAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its requests end first. Should it have kept its place after a while, it is as before."""
    monkeypatch.setattr(loading, "IDLE_WAIT_S", 0.1)
    here = loaded(ready, adapters)
    ready.running, ready.busy_with = 5, {name(adapters[n]) for n in here}
    Serving.objects.update(tested_at=timezone.now() - timedelta(hours=1))
    want(adapters[0])
    assert loaded(ready, adapters) == here
    leaving = Serving.objects.get(leaving_at__isnull=False)
    usable = queries.ready_endpoints()[0].models
    assert leaving.served_model.name not in usable
    assert {name(adapters[n]) for n in here} - usable == {leaving.served_model.name}
    ready.busy_with.discard(leaving.served_model.name)
    want(adapters[0])
    assert 0 in loaded(ready, adapters)
    assert leaving.served_model.name not in ready.models
    Serving.objects.filter(present=True).update(leaving_at=timezone.now() - 2 * places.LEAVING)
    assert {name(adapters[n]) for n in loaded(ready, adapters)} < queries.ready_endpoints()[
        0
    ].models


def test_a_candidate_finds_a_place(
    ready: FakeVllm,
    adapters: list[TrainedAdapter],
    projects: list[Project],
    ada: User,
    train: Train,
) -> None:
    cast.add_prompts(projects[0], 2, split="held_out")
    candidate = train(project=projects[0])
    evaluation = create_evaluation(
        project_id=projects[0].pk, actor_id=ada.pk, candidate_id=candidate.pk, judge_id=None
    )
    elsewhere(serve_evaluation, evaluation_id=evaluation.pk)
    answer_evaluation(evaluation_id=evaluation.pk)
    found = Evaluation.objects.get()
    assert (found.state, found.message) == (EvaluationState.READY, "")
    hashes = set(found.answers.values_list("side", "adapter_hash"))
    assert hashes == {
        ("candidate", candidate.content_hash),
        ("incumbent", adapters[0].content_hash),
    }
    assert ready.most_loaded == SIX


def test_an_older_model_that_a_round_names_comes_back_as_well(
    ready: FakeVllm, adapters: list[TrainedAdapter], projects: list[Project], train: Train
) -> None:
    for _ in range(2):
        performed(asked(train(project=projects[0]), projects[0]))
        age()
        look()
    assert Adapter.objects.get(content_hash=adapters[0].content_hash).state != "serving"
    want(adapters[0])
    assert 0 in loaded(ready, adapters)
    age()
    look()
    assert ready.most_loaded == SIX


def test_eight_rounds_at_once_are_written_by_their_own_models(
    ready: FakeVllm,
    adapters: list[TrainedAdapter],
    projects: list[Project],
    ada: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each waits for its turn; no answer is another's, and nothing is stuck."""
    monkeypatch.setattr(loading, "IDLE_WAIT_S", 0.1)
    monkeypatch.setattr(places, "TURN", timedelta(seconds=0.5))
    monkeypatch.setattr(places, "NOTED", timedelta(seconds=0.1))
    monkeypatch.setattr(generation, "LONGEST_PAUSE_S", 0.2)
    monkeypatch.setattr(generation, "FIRST_PAUSE_S", 0.1)
    ready.tells_load, ready.delay_s = True, 0.02
    made = [start(project, ada) for project in projects]
    with the_regular_check(), ThreadPoolExecutor(EIGHT) as threads:
        jobs = [threads.submit(generate, round_) for round_ in made]
        for job in jobs:
            job.result(timeout=PATIENCE_S)
    assert set(Round.objects.values_list("state", flat=True)) == {RoundState.LABELING}
    for project, adapter in zip(projects, adapters, strict=True):
        written = Completion.objects.filter(task__round__project=project)
        assert written.count() == 6
        assert {one.adapter_hash for one in written} == {adapter.content_hash}
        assert all(one.text.startswith(name(adapter)) for one in written)
    assert ready.most_loaded == SIX


def start(project: Project, ada: User) -> Round:
    cast.add_prompts(project, 3)
    made = rounds.create_round(
        project_id=project.pk,
        actor_id=ada.pk,
        prompts=PromptFilter(),
        k=2,
        overlap=1,
        sources=[Source(follows=True)],
    )
    return rounds.start_round(round_id=made.pk, actor_id=ada.pk)


def generate(round_: Round) -> None:
    try:
        generation.generate_round(round_id=round_.pk)
    finally:
        connections.close_all()


@contextmanager
def the_regular_check() -> Iterator[None]:
    done = threading.Event()

    def again_and_again() -> None:
        try:
            while not done.wait(0.1):
                look()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        checking = thread.submit(again_and_again)
        try:
            yield
        finally:
            done.set()
            checking.result(timeout=PATIENCE_S)


def test_places_that_no_one_can_give_are_said(ready: FakeVllm, tone: Project, train: Train) -> None:
    ready.max_loras = 2
    waiting = performed(asked(train(), tone))
    assert waiting.state == "queued"
    assert "places for 2 adapters (--max-loras), and 3 are needed" in waiting.message
