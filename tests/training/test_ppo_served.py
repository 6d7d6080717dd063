"""Answers by a server: versions of the actor come and go, and so may the server."""

import threading
import time
from asyncio import CancelledError
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.training.asked import END, PROMPTS, SAMPLING
from tests.training.fake_server import LOGPROBS, Actor, Fake, client, first
from training.engine.errors import Passing, SpecError
from training.engine.ppo.rollouts import Answer, Served, served, versions


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake() as made:
        yield made


@pytest.fixture
def sampler(fake: Fake, tmp_path: Path) -> Served:
    """It has something to answer with."""
    made = client(fake, tmp_path, Actor())
    made.publish()
    return made


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pauses between attempts."""
    monkeypatch.setattr(served, "PAUSE_S", 0.0)
    monkeypatch.setattr(served, "WATCH_S", 0.02)
    monkeypatch.setattr(versions, "PAUSE_S", 0.02)


def test_answers_come_with_tokens_and_log_probabilities(fake: Fake, sampler: Served) -> None:
    found = sampler.sample(PROMPTS, 0)
    assert [len(of) for of in found] == [3, 3, 3]
    assert [of[0].tokens for of in found] == [(0, 9, END), (0, 4, END), (0, 6, END)]
    assert first(found) == Answer((0, 9, END), True, tuple(LOGPROBS))
    body = fake.asked[0]
    assert "seed" not in body, "it ends vLLM's engine on a CPU"
    assert (body["temperature"], body["n"], body["stop_token_ids"]) == (0.8, 3, [END])
    assert (body["top_p"], body["top_k"], body["repetition_penalty"]) == (1.0, 0, 1.0)


def test_a_new_version_is_loaded_before_the_old_one_goes(fake: Fake, tmp_path: Path) -> None:
    actor = Actor()
    sampler = client(fake, tmp_path, actor)
    for version in range(4):
        actor.version = version
        sampler.publish()
        assert first(sampler.sample(PROMPTS, 0)).tokens[0] == version
    assert fake.log == ["load 0", "load 1", "unload 0", "load 2", "unload 1", "load 3", "unload 2"]
    # vLLM may still read the files of what was unloaded last.
    left = sorted((one / "weights").read_text() for one in (tmp_path / "served").iterdir())
    assert left == ["2", "3"]
    sampler.close()
    assert fake.loaded == {}
    assert not (tmp_path / "served").exists()


def test_a_version_that_could_not_be_unloaded_goes_the_next_time(
    fake: Fake, tmp_path: Path
) -> None:
    actor = Actor()
    sampler = client(fake, tmp_path, actor)
    for actor.version in range(3):
        fake.keeps = actor.version == 1
        sampler.publish()
        assert first(sampler.sample(PROMPTS, 0)).tokens[0] == actor.version
    assert fake.log == ["load 0", "load 1", "load 2", "unload 0", "unload 1"]
    left = sorted((one / "weights").read_text() for one in (tmp_path / "served").iterdir())
    assert left == ["0", "1", "2"], "vLLM may still read what it unloaded now"


def test_an_actor_that_did_not_move_is_not_loaded_again(fake: Fake, tmp_path: Path) -> None:
    sampler = client(fake, tmp_path, Actor())
    for _ in range(2):
        sampler.publish()
        sampler.sample(PROMPTS, 0)
    assert fake.log == ["load 0"]


def test_what_a_killed_run_left_on_the_server_is_unloaded(fake: Fake, tmp_path: Path) -> None:
    fake.loaded["candidate"] = "of somebody else"
    killed = client(fake, tmp_path, Actor())
    killed.publish()
    killed.sample(PROMPTS, 0)
    client(fake, tmp_path, Actor())
    assert list(fake.loaded) == ["candidate"]
    assert fake.log == ["load 0", "unload 0"]


def test_a_passing_failure_is_tried_again(
    fake: Fake, sampler: Served, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.failures = [503, 500] * served.TRIES
    assert len(sampler.sample(PROMPTS[:1], 0)) == 1
    monkeypatch.setattr(served, "AWAY_S", 0.0)
    fake.failures = [503] * served.TRIES
    with pytest.raises(Passing, match="does not answer"):
        sampler.sample(PROMPTS[:1], 0)
    assert not fake.failures
    fake.failures = [400]
    with pytest.raises(SpecError, match="refuses"):
        sampler.sample(PROMPTS, 0)


def test_a_server_that_was_started_again_is_given_the_version(
    fake: Fake, sampler: Served, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were answered before it ended are not asked again."""
    monkeypatch.setattr(served, "AT_ONCE", 1)
    fake.restarts = 1
    assert [len(of) for of in sampler.sample(PROMPTS, 0)] == [3, 3, 3]
    assert fake.log == ["load 0", "restart", "load 0"]
    assert sum(body["prompt"] == list(PROMPTS[0]) for body in fake.asked) == 1
    sampler.close()
    assert fake.loaded == {}


def test_a_server_that_is_away_is_waited_for(fake: Fake, tmp_path: Path, at_once: None) -> None:
    actor, told = Actor(), list[str]()
    sampler = client(fake, tmp_path, actor, told)
    sampler.publish()
    sampler.sample(PROMPTS, 0)
    actor.version = 1
    fake.away()
    sampler.publish()
    again = threading.Timer(0.5, fake.start)
    again.start()
    assert first(sampler.sample(PROMPTS, 0)).tokens[0] == 1
    again.join()
    assert told == [versions.WAITED]
    assert fake.log == ["load 0", "load 1", "unload 0"]


def test_a_server_that_stays_away_ends_the_run(
    fake: Fake, sampler: Served, tmp_path: Path, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.away()
    monkeypatch.setattr(served, "AWAY_S", 0.1)
    with pytest.raises(Passing, match="no vLLM answers"):
        sampler.sample(PROMPTS, 0)
    sampler.close()
    assert not (tmp_path / "served").exists()


def test_a_server_that_ends_leaves_what_it_answers_open(
    fake: Fake, sampler: Served, at_once: None
) -> None:
    """vLLM waits for its clients then, and they would for it."""
    fake.hold.clear()
    for change, after in ((fake.away, 0.3), (fake.hold.set, 0.8), (fake.start, 0.8)):
        threading.Timer(after, change).start()
    fake.held = list(PROMPTS[0])
    begin = time.monotonic()
    assert len(sampler.sample(PROMPTS, 0)) == 3
    assert time.monotonic() - begin < 15, "it did not wait for the one that hangs"


def test_what_a_server_breaks_off_is_no_answer(fake: Fake, sampler: Served, at_once: None) -> None:
    """One that drains says so of every new request; then it is gone."""
    fake.endings = ["stop", "abort", "abort"]
    found = sampler.sample(PROMPTS, 0)
    assert {len(one.tokens) for of in found for one in of} == {3}
    assert len(fake.asked) > len(PROMPTS)


def test_a_load_that_is_under_way_at_the_end_leaves_nothing(fake: Fake, sampler: Served) -> None:
    fake.loads.clear()
    with ThreadPoolExecutor(1) as pool:
        sampling = pool.submit(sampler.sample, PROMPTS, 0)
        while not fake.turn.locked():
            pass
        threading.Timer(0.2, fake.loads.set).start()
        sampler.close()
        assert isinstance(sampling.exception(10), CancelledError)
    assert fake.log == ["load 0", "unload 0"]


def test_an_adapter_that_is_refused_ends_the_run(
    fake: Fake, sampler: Served, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "REFUSED_S", 0.1)
    fake.refuses = True
    with pytest.raises(SpecError, match="does not load the adapter") as refused:
        sampler.sample(PROMPTS, 0)
    assert "--max-lora-rank" in refused.value.advice


def test_without_a_server_it_is_said_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no vLLM answers") as refused:
        Served("http://127.0.0.1:9", tmp_path / "served", SAMPLING, Actor().write, print)
    assert "--enable-lora" in refused.value.advice
