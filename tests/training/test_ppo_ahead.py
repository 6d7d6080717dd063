"""One step ahead and no more: how old the answers are that a step learns from."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.training.asked import PROMPTS
from tests.training.fake_server import Actor, Fake, client, first
from training.engine.errors import SpecError, Stopped
from training.engine.groups import Tokens
from training.engine.ppo.rollouts import Ahead, Answer
from training.engine.ppo.rollouts.ahead import Asked


class Stop:
    requested = False


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake() as made:
        yield made


def nothing() -> None:
    """Nobody keeps anything."""


def asked(step: int) -> Asked:
    return Asked(step, PROMPTS[:1], step)


def test_with_a_server_the_next_step_is_sampled_one_version_behind(
    fake: Fake, tmp_path: Path
) -> None:
    actor = Actor()
    with Ahead(client(fake, tmp_path, actor), Stop(), nothing) as ahead:
        ages, versions = [], []
        for step in range(4):
            actor.version = step
            taken = ahead.take(asked(step))
            ages.append(taken.age)
            versions.append(first(taken.answers).tokens[0])
            ahead.begin(asked(step + 1), step)
    assert ages == [0, 1, 1, 1]
    assert versions == [0, 0, 1, 2]


def test_the_old_version_stays_until_its_answers_are_there(fake: Fake, tmp_path: Path) -> None:
    actor = Actor()
    with Ahead(client(fake, tmp_path, actor), Stop(), nothing) as ahead:
        fake.hold.clear()
        ahead.begin(asked(0), 0)
        while not fake.asked:
            pass
        actor.version = 1
        threading.Timer(0.2, fake.hold.set).start()
        assert first(ahead.take(asked(0)).answers).tokens[0] == 0
        assert fake.log == ["load 0"]
        ahead.begin(asked(1), 1)
        assert first(ahead.take(asked(1)).answers).tokens[0] == 1
        assert fake.log == ["load 0", "load 1", "unload 0"]


def test_a_run_that_is_stopped_does_not_wait_for_its_answers(fake: Fake, tmp_path: Path) -> None:
    stop, kept = Stop(), list[str]()
    stop.requested = True
    fake.hold.clear()
    with Ahead(client(fake, tmp_path, Actor()), stop, lambda: kept.append("steps")) as ahead:
        with pytest.raises(Stopped, match="before step 3"):
            ahead.take(asked(2))
        fake.hold.set()
    assert kept == ["steps"]
    assert fake.loaded == {}


def test_what_was_learned_is_kept_before_a_failure(fake: Fake, tmp_path: Path) -> None:
    kept: list[str] = []
    fake.failures = [400]
    sampler = client(fake, tmp_path, Actor())
    with (
        Ahead(sampler, Stop(), lambda: kept.append("steps")) as ahead,
        pytest.raises(SpecError, match="refuses"),
    ):
        ahead.take(asked(0))
    assert kept == ["steps"]


def test_transformers_samples_when_it_is_asked_and_not_before() -> None:
    class Counting:
        overlaps = False
        sampled = 0

        def publish(self) -> None:
            pass

        def close(self) -> None:
            pass

        def sample(self, prompts: Sequence[Tokens], seed: int) -> list[tuple[Answer, ...]]:
            self.sampled += 1
            return []

    counting = Counting()
    with Ahead(counting, Stop(), nothing) as ahead:
        ahead.begin(asked(0), 0)
        assert counting.sampled == 0
        assert ahead.take(asked(0)).age == 0
        assert counting.sampled == 1
