"""Several replicas: who is asked, and who steps in."""

import asyncio
from collections.abc import Iterator

import pytest

from inference.completions import CompletionResult, Endpoint, Sampling
from inference.errors import InferenceError, NoReplica
from inference.routing import Pool
from tests.inference import fake_vllm
from tests.inference.fake_vllm import FakeVllm

HELLO = [{"role": "user", "content": "Hello"}]
SAMPLING = Sampling(temperature=0.8, top_p=0.95, max_tokens=16)


@pytest.fixture
def pair() -> Iterator[tuple[FakeVllm, FakeVllm]]:
    with FakeVllm() as first, FakeVllm() as second:
        yield first, second


def endpoint_of(fake: FakeVllm, *models: str) -> Endpoint:
    return Endpoint(str(fake.port), fake.url, frozenset(models or ("base",)))


def ask(
    *fakes: FakeVllm, times: int = 1, n: int = 1, concurrency: int = 8, deadline_s: float = 5
) -> list[list[CompletionResult]]:
    async def run() -> list[list[CompletionResult]]:
        endpoints = [endpoint_of(fake) for fake in fakes]
        async with Pool(endpoints, concurrency=concurrency, deadline_s=deadline_s) as pool:
            answers = await asyncio.gather(
                *(pool.complete("base", HELLO, SAMPLING, n) for _ in range(times))
            )
            assert pool.in_flight == 0
            return answers

    return asyncio.run(run())


def test_work_is_shared_evenly(pair: tuple[FakeVllm, FakeVllm]) -> None:
    for fake in pair:
        fake.delay_s = 0.2
    ask(*pair, times=8)
    assert [len(fake.requests) for fake in pair] == [4, 4]


def test_no_replica_gets_more_than_its_bound(fake: FakeVllm) -> None:
    fake.delay_s = 0.02
    ask(fake, times=12, n=4, concurrency=8)
    assert fake.most_at_once == 2  # 2 requests of 4 completions


def test_a_request_above_the_bound_goes_alone(fake: FakeVllm) -> None:
    fake.delay_s = 0.02
    ask(fake, times=3, n=9, concurrency=8)
    assert fake.most_at_once == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        fake_vllm.hang_up,
        fake_vllm.raw(b"nonsense"),
        fake_vllm.error(500, "EngineDeadError"),
        fake_vllm.error(404, "The model `base` does not exist."),
        fake_vllm.error(401, "Unauthorized"),
        fake_vllm.hang,
    ],
    ids=["hangs up", "nonsense", "500", "404", "401", "hangs"],
)
def test_another_replica_steps_in(
    pair: tuple[FakeVllm, FakeVllm], behaviour: fake_vllm.Behaviour
) -> None:
    broken, sound = pair
    broken.always = behaviour
    [[result]] = ask(broken, sound, deadline_s=0.5)
    assert result.replica == str(sound.port)


def test_a_request_that_is_itself_wrong_is_not_passed_around(
    pair: tuple[FakeVllm, FakeVllm],
) -> None:
    for fake in pair:
        fake.always = fake_vllm.error(400, "maximum context length is 2048")
    with pytest.raises(InferenceError) as caught:
        ask(*pair)
    assert caught.value.permanent
    assert sum(len(fake.requests) for fake in pair) == 1


def test_the_last_error_is_raised_when_all_fail(pair: tuple[FakeVllm, FakeVllm]) -> None:
    for fake in pair:
        fake.always = fake_vllm.error(500, "EngineDeadError")
    with pytest.raises(InferenceError) as caught:
        ask(*pair)
    assert caught.value.code == "server_error"
    assert [len(fake.requests) for fake in pair] == [1, 1]


def test_a_name_that_vanished_is_waited_for(fake: FakeVllm) -> None:
    """An adapter comes back after a restart of its server, so the round goes on by itself."""
    fake.models = {}
    with pytest.raises(NoReplica) as caught:
        ask(fake)
    assert not caught.value.permanent


def test_nobody_serves_the_name() -> None:
    with pytest.raises(NoReplica) as caught:
        ask()
    assert caught.value.replica_is_away


def test_a_replica_that_went_away_is_left_alone_for_a_while(
    pair: tuple[FakeVllm, FakeVllm],
) -> None:
    gone, there = pair
    gone.always = fake_vllm.hang_up

    async def run() -> None:
        async with Pool([endpoint_of(gone), endpoint_of(there)]) as pool:
            for _ in range(10):
                await pool.complete("base", HELLO, SAMPLING)

    asyncio.run(run())
    assert len(gone.requests) == 1
    assert len(there.requests) == 10


def test_a_refresh_ends_waiting_and_disturbs_nobody(pair: tuple[FakeVllm, FakeVllm]) -> None:
    old, new = pair
    old.delay_s = 0.3

    async def run() -> None:
        async with Pool([endpoint_of(old)], concurrency=1) as pool:
            first = asyncio.create_task(pool.complete("base", HELLO, SAMPLING))
            await asyncio.sleep(0.1)
            waiting = asyncio.create_task(pool.complete("base", HELLO, SAMPLING))
            await asyncio.sleep(0.05)
            await pool.refresh([endpoint_of(new)])
            assert (await waiting)[0].replica == str(new.port)
            assert (await first)[0].replica == str(old.port)

    asyncio.run(run())


def test_a_canceled_request_frees_its_place(fake: FakeVllm) -> None:
    fake.script = [fake_vllm.hang]

    async def run() -> None:
        async with Pool([endpoint_of(fake)], concurrency=1) as pool:
            stuck = asyncio.create_task(pool.complete("base", HELLO, SAMPLING))
            while not fake.under_way:
                await asyncio.sleep(0.01)
            stuck.cancel()
            assert (await pool.complete("base", HELLO, SAMPLING))[0].text

    asyncio.run(run())


def test_tokens_of_a_conversation_are_counted(fake: FakeVllm) -> None:
    async def run() -> int:
        async with Pool([endpoint_of(fake)]) as pool:
            return await pool.tokenize("base", HELLO)

    assert asyncio.run(run()) > 0
