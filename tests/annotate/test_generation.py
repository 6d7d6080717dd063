"""The job that writes a round's completions, with a scripted model and the real database."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NoReturn, TypeVar
from uuid import uuid4

import pytest
from celery import current_app
from django.db import connection, connections
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway
from pytest_django.fixtures import Settings

from annotate.models import Completion, Prompt, Role, Round, RoundState, Slot, Task, TaskState
from annotate.queries.ahead import ACTIVE_FOR, ahead_of
from annotate.services import generation, generation_store, rounds
from annotate.services.claims import next_claim
from annotate.services.generation_turns import lock, waiting_rounds
from annotate.services.rankings import Said, submit_ranking
from annotate.services.rounds import Source
from inference.errors import Code, InferenceError
from tests import cast
from tests.annotate.conftest import NewRound
from tests.annotate.scripted import Asked, Scripted, serve, write

LONG = "Question 1"
T = TypeVar("T")
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(generation, "LONGEST_PAUSE_S", 0.02)
    monkeypatch.setattr(generation, "LOOK_AGAIN_S", 0.05)


def error(code: Code, *, permanent: bool = False) -> InferenceError:
    return InferenceError(code, f"This is {code}.", permanent=permanent)


def states(round_: Round) -> list[str]:
    return sorted(Task.objects.filter(round=round_).values_list("state", flat=True))


def texts(round_: Round) -> list[str]:
    completions = Completion.objects.filter(task__round=round_)
    return list(completions.order_by("task__position", "number").values_list("text", flat=True))


async def off_loop(function: Callable[..., T], **arguments: Any) -> T:
    """What a function gives when another process runs it, with a connection of its own."""

    def run() -> T:
        try:
            return function(**arguments)
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


# --- what is asked --------------------------------------------------------------------------


def test_one_request_a_task_where_sampling_agrees(new_round: NewRound) -> None:
    model = Scripted()
    round_ = write(new_round(k=4), model)
    assert round_.state == RoundState.LABELING
    assert sorted(asked.question for asked in model.asked) == [
        prompt.excerpt for prompt in Prompt.objects.order_by("excerpt")
    ]
    assert {asked.n for asked in model.asked} == {4}
    assert states(round_) == ["ready"] * 3
    assert Slot.objects.filter(round=round_).count() == 3


def test_every_completion_tells_where_it_came_from(new_round: NewRound) -> None:
    source = Source(cast.served_model().pk, temperature=0.7, top_p=0.9, max_tokens=77)
    round_ = write(new_round(source, prompts=1, k=2), Scripted())
    for completion in Completion.objects.all():
        assert completion.sampling == {
            "temperature": 0.7,
            "top_p": 0.9,
            "max_tokens": 77,
            "n": 2,
        }
        assert completion.model_name == completion.served_model.name == "base-model"
        assert completion.source_id == round_.sources.get().pk
        assert (completion.replica, completion.latency_ms) == ("gpu-1", 250)
        assert (completion.prompt_tokens, completion.logprob_sum) == (11, -3.5)
        assert completion.chat_template_hash == "c" * 64


def test_models_and_temperatures_are_mixed_in_one_round(new_round: NewRound) -> None:
    base, other = cast.served_model(), cast.served_model("other-model")
    sources = [
        Source(base.pk, weight=2, temperature=0.2),
        Source(base.pk, weight=1, temperature=1.0),
        Source(other.pk, weight=1, temperature=1.0),
    ]
    model = Scripted()
    round_ = write(new_round(*sources, prompts=5, k=4), model)
    assert round_.state == RoundState.LABELING
    assert len(model.asked) == 5 * 3
    for task in Task.objects.all():
        made = [(c.model_name, c.sampling["temperature"]) for c in task.completions.all()]
        assert sorted(made) == [
            ("base-model", 0.2),
            ("base-model", 0.2),
            ("base-model", 1.0),
            ("other-model", 1.0),
        ]
        for completion in task.completions.all():
            assert completion.text.startswith(completion.served_model.name)
            assert completion.source.temperature == completion.sampling["temperature"]


@pytest.mark.parametrize("temperature", [0.0, 1e-6])
def test_greedy_answers_are_asked_for_one_by_one(new_round: NewRound, temperature: float) -> None:
    """vLLM refuses n > 1 at temperature 0."""
    base = cast.served_model().pk
    model = Scripted()
    sources = [Source(base, temperature=temperature), Source(base, temperature=0.5)]
    round_ = write(new_round(*sources, prompts=1, k=4), model)
    assert sorted((asked.sampling.temperature, asked.n) for asked in model.asked) == [
        (temperature, 1),
        (temperature, 1),
        (0.5, 2),
    ]
    assert round_.state == RoundState.LABELING
    assert Task.objects.get().completions.count() == 4


def test_documents_are_part_of_what_is_asked(new_round: NewRound) -> None:
    round_ = new_round(prompts=1)
    Prompt.objects.update(documents=[{"title": "Rivers", "text": "The Rhine is long."}])
    model = Scripted()
    write(round_, model)
    assert "The Rhine is long." in str(model.asked[0].messages)


# --- what comes back ------------------------------------------------------------------------


def test_an_empty_answer_is_an_answer(new_round: NewRound) -> None:
    async def empty(asked: Asked) -> list[str]:
        return [""] * asked.n

    round_ = write(new_round(prompts=1, k=2), Scripted(empty))
    assert texts(round_) == ["", ""]
    assert round_.state == RoundState.LABELING


def test_what_the_database_cannot_hold_is_replaced(new_round: NewRound) -> None:
    async def odd(asked: Asked) -> list[str]:
        return ["before\x00after", "🙂<script>'; DROP TABLE users; --"]

    round_ = write(new_round(prompts=1, k=2), Scripted(odd))
    assert texts(round_) == ["before\ufffdafter", "🙂<script>'; DROP TABLE users; --"]


def test_a_permanent_error_fails_its_task_only(new_round: NewRound) -> None:
    async def too_long(asked: Asked) -> None:
        if asked.question == LONG:
            raise error("context_length", permanent=True)

    model = Scripted(too_long)
    round_ = write(new_round(), model)
    assert round_.state == RoundState.LABELING
    assert states(round_) == ["failed", "ready", "ready"]
    failed = Task.objects.get(state=TaskState.FAILED)
    assert (failed.prompt.excerpt, failed.failure) == (LONG, "This is context_length.")
    assert not failed.slots.exists()
    assert [asked.question for asked in model.asked].count(LONG) == 1


def test_half_of_a_mixed_task_fails(new_round: NewRound) -> None:
    """What the other model wrote stays, and is not asked for again after a retry."""
    base, other = cast.served_model(), cast.served_model("gone-model")
    gone = True

    async def unknown(asked: Asked) -> None:
        if gone and asked.model == "gone-model":
            raise error("refused", permanent=True)

    model = Scripted(unknown)
    round_ = write(new_round(Source(base.pk), Source(other.pk), prompts=1, k=4), model)
    assert round_.state == RoundState.FAILED
    assert "This is refused." in round_.message
    kept = set(Completion.objects.values_list("pk", flat=True))
    assert len(kept) == 2

    gone = False
    model.asked.clear()
    rounds.retry_round(round_id=round_.pk, actor_id=round_.created_by_id)
    assert write(round_, model).state == RoundState.LABELING
    assert [asked.model for asked in model.asked] == ["gone-model"]
    assert kept < set(Completion.objects.values_list("pk", flat=True))


def test_a_round_without_any_completion_fails_with_the_reason(new_round: NewRound) -> None:
    async def refuse(asked: Asked) -> None:
        raise error("context_length", permanent=True)

    round_ = write(new_round(), Scripted(refuse))
    assert round_.state == RoundState.FAILED
    assert round_.message == "No task got its completions. This is context_length."
    rounds.retry_round(round_id=round_.pk, actor_id=round_.created_by_id)
    assert write(round_, Scripted()).state == RoundState.LABELING
    assert states(round_) == ["ready"] * 3


# --- servers that are away or ill -----------------------------------------------------------


@pytest.mark.parametrize("code", ["unreachable", "overloaded", "no_replica"])
def test_an_absent_server_is_waited_for(new_round: NewRound, code: Code) -> None:
    away = 3 * generation.ATTEMPTS

    async def come_back(asked: Asked) -> None:
        nonlocal away
        away -= 1
        if away >= 0:
            raise error(code)

    round_ = write(new_round(prompts=1), Scripted(come_back))
    assert away < 0
    assert states(round_) == ["ready"]
    assert round_.state == RoundState.LABELING


@pytest.mark.parametrize("code", ["timeout", "server_error", "bad_response"])
def test_a_server_that_answers_badly_is_asked_a_few_times(new_round: NewRound, code: Code) -> None:
    async def ill(asked: Asked) -> None:
        raise error(code)

    model = Scripted(ill)
    round_ = write(new_round(prompts=1), model)
    assert len(model.asked) == generation.ATTEMPTS
    assert states(round_) == ["failed"]
    assert Task.objects.get().failure == f"This is {code}."


def test_a_bad_moment_costs_nothing_but_time(new_round: NewRound) -> None:
    moments: list[Code] = ["server_error", "timeout", "unreachable", "bad_response"]

    async def moody(asked: Asked) -> None:
        if moments:
            raise error(moments.pop())

    round_ = write(new_round(prompts=1), Scripted(moody))
    assert states(round_) == ["ready"]


def test_a_mistake_of_ours_ends_the_job_and_not_the_round(new_round: NewRound) -> None:
    async def broken(asked: Asked) -> NoReturn:
        raise RuntimeError("a mistake")

    round_ = new_round()
    with pytest.raises(RuntimeError, match="a mistake"):
        write(round_, Scripted(broken))
    assert states(round_) == ["pending"] * 3
    assert write(round_, Scripted()).state == RoundState.LABELING


# --- the same job again ---------------------------------------------------------------------


def test_a_job_that_runs_again_has_nothing_to_ask(new_round: NewRound) -> None:
    round_ = write(new_round(), Scripted())
    before = texts(round_)
    again = Scripted()
    write(round_, again)
    assert again.asked == []
    assert texts(round_) == before


def test_only_what_is_missing_is_asked_for(new_round: NewRound) -> None:
    round_ = new_round(prompts=1, k=4)
    (order,) = generation_store.next_orders(round_.pk, [], 1)
    whole = order.orders[0]
    part = generation_store.Order(
        whole.model, whole.served_model_id, whole.source_id, whole.sampling, (0, 2)
    )
    first = asyncio.run(Scripted().complete(part.model, [{"content": "?"}], part.sampling, 2))
    generation_store.keep(order.task_id, part, first)
    generation_store.open_task(order.task_id)
    assert states(round_) == ["pending"]

    async def late(asked: Asked) -> list[str]:
        return ["late"] * asked.n

    model = Scripted(late)
    write(round_, model)
    assert [asked.n for asked in model.asked] == [2]
    assert texts(round_) == ["base-model at 0.8: 0", "late", "base-model at 0.8: 1", "late"]


def test_two_writers_of_one_round_make_no_second_completion(new_round: NewRound) -> None:
    """Even where the lock fails: a unique constraint stands behind it."""
    round_ = new_round(prompts=6, k=4)
    writers = [Scripted(), Scripted()]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda model: write(round_, model), writers))
    assert len(texts(round_)) == 6 * 4
    assert Slot.objects.count() == 6
    assert Round.objects.get().state == RoundState.LABELING


def test_a_second_job_leaves_the_round_to_the_first(
    new_round: NewRound, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_ = new_round()

    async def never(*_: object) -> NoReturn:
        raise AssertionError("two jobs at once")

    monkeypatch.setattr(generation, "_run", never)
    assert waiting_rounds() == [round_.pk]
    assert lock(round_.pk)
    assert waiting_rounds() == []
    with ThreadPoolExecutor(1) as thread:  # another connection
        thread.submit(generation.generate_round, round_id=round_.pk).result()
    connection.close()  # as when the process dies
    assert waiting_rounds() == [round_.pk]


# --- how much at once -----------------------------------------------------------------------


def test_it_stays_ahead_of_the_labelers_by_a_bound(new_round: NewRound, settings: Settings) -> None:
    settings.GENERATION_AHEAD, settings.GENERATION_AHEAD_EACH = 3, 1
    round_ = new_round(prompts=8)
    lena = cast.member(round_.project, "lena", Role.LABELER)
    model = Scripted()
    write(round_, model)
    assert states(round_).count("ready") == 3
    assert round_.state == RoundState.GENERATING
    assert waiting_rounds() == []
    # People label while the rest is not written yet. What they hold is not ahead of anybody.
    cast.claim(lena, round_.project)
    assert waiting_rounds() == [round_.pk]
    write(round_, model)
    assert states(round_).count("ready") == 4
    for _ in range(2):
        rank(lena.pk)
    write(round_, model)
    assert states(round_).count("ready") == 5
    positions = Task.objects.filter(state="ready").order_by("position")
    assert [task.position for task in positions] == [0, 1, 2, 3, 4]


def test_the_more_labelers_the_further_ahead(new_round: NewRound, settings: Settings) -> None:
    settings.GENERATION_AHEAD, settings.GENERATION_AHEAD_EACH = 2, 3
    settings.GENERATION_AHEAD_MOST = 8
    round_ = new_round(prompts=20, k=2)
    write(round_, Scripted())
    labelers = [cast.member(round_.project, f"labeler-{n}", Role.LABELER) for n in range(4)]
    wanted = []
    for labeler in labelers:
        cast.claim(labeler, round_.project)
        write(round_, Scripted())
        wanted.append(ahead_of(round_.pk).wanted)
        assert ahead_of(round_.pk).missing == 0
    assert wanted == [3, 6, 8, 8]
    # Whoever took their task long ago is not at the desk any more.
    lease = timedelta(seconds=round_.project.lease_seconds)
    long_ago = timezone.now() - ACTIVE_FOR - timedelta(minutes=1)
    Slot.objects.filter(claim__labeler__in=labelers[1:]).update(lease_until=long_ago + lease)
    assert ahead_of(round_.pk).wanted == 3


def rank(labeler_id: int) -> None:
    _, held = next_claim(slug="tone", labeler_id=labeler_id)
    assert held is not None
    said = Said(tiers=[["A"], ["B"], ["C"], ["D"]])
    submit_ranking(claim_id=held.claim_id, labeler_id=labeler_id, key=uuid4(), said=said)


@pytest.mark.parametrize(("replicas", "most"), [(0, 2), (1, 4), (2, 6)])
def test_requests_in_flight_follow_the_replicas(
    new_round: NewRound, settings: Settings, replicas: int, most: int
) -> None:
    """8 completions at a time on each, 4 a task, and two tasks waiting at the door."""
    settings.INFERENCE_CONCURRENCY = 8
    for number in range(replicas):
        serve(cast.served_model(), name=f"gpu-{number}")

    async def slow(asked: Asked) -> None:
        await asyncio.sleep(0.02)

    model = Scripted(slow)
    write(new_round(prompts=20, k=4), model)
    assert model.most_at_once == most


# --- interruptions --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "state"),
    [
        (rounds.pause_round, RoundState.GENERATING),
        (rounds.cancel_round, RoundState.CANCELED),
        (rounds.close_round, RoundState.CLOSED),
    ],
)
def test_a_round_that_is_stopped_in_the_middle(
    new_round: NewRound, verb: Any, state: RoundState
) -> None:
    round_ = new_round(prompts=10)

    async def stop_after_a_few(asked: Asked) -> None:
        if len(model.asked) >= 4:
            await off_loop(verb, round_id=round_.pk, actor_id=round_.created_by_id)
            await asyncio.sleep(30)

    model = Scripted(stop_after_a_few)
    write(round_, model)
    assert round_.state == state
    assert len(model.asked) < 8
    assert states(round_).count("pending") > 0
    assert Completion.objects.count() == 4 * states(round_).count("ready")

    if verb is rounds.pause_round:
        assert waiting_rounds() == []
        rounds.resume_round(round_id=round_.pk, actor_id=round_.created_by_id)
        assert write(round_, Scripted()).state == RoundState.LABELING
        assert states(round_) == ["ready"] * 10


def test_a_shutdown_in_the_middle_gives_up_what_is_in_flight(new_round: NewRound) -> None:
    async def shut_down(asked: Asked) -> None:
        if len(model.asked) >= 3:
            generation.stopping.set()
            await asyncio.sleep(30)

    model = Scripted(shut_down)
    round_ = new_round(prompts=6)
    try:
        write(round_, model)
    finally:
        generation.stopping.clear()
    assert round_.state == RoundState.GENERATING
    assert "pending" in states(round_)
    assert write(round_, Scripted()).state == RoundState.LABELING


def test_labeling_goes_on_while_the_rest_is_written(new_round: NewRound) -> None:
    round_ = new_round(prompts=3)
    lena = cast.member(round_.project, "lena", Role.LABELER)
    ready_while_writing: list[int] = []

    async def look(asked: Asked) -> None:
        if asked in model.asked[2:3]:
            while not await off_loop(Slot.objects.exists):
                await asyncio.sleep(0.02)
            ready_while_writing.append(await off_loop(Slot.objects.count))
            await off_loop(cast.claim, user=lena, project=round_.project)

    model = Scripted(look)
    assert write(round_, model).state == RoundState.LABELING
    assert ready_while_writing[0] >= 1


def test_a_broker_that_is_down_loses_nothing(
    new_round: NewRound, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> NoReturn:
        raise BrokerAway("the broker is away")

    monkeypatch.setattr(current_app, "send_task", away)
    round_ = new_round()
    assert Round.objects.get().state == RoundState.GENERATING
    assert waiting_rounds() == [round_.pk]
