"""The answers of the next step are sampled while this one is trained on.

One step ahead and no more: when step n is trained, the answers of step n + 1 are sampled from the
policy that step n began with. So what is trained on is at most one step old (`Sampled.age`), and
the losses know how old, token by token (`losses.importance`).
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType

from training.engine.errors import Passing, Stopped
from training.engine.groups import Tokens
from training.engine.ppo.rollouts.answers import Answer, Sampler
from training.engine.stopping import Stop, anywhere

LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for a step. seed: of the sampling."""

    step: int
    prompts: tuple[Tokens, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Sampled:
    """answers: of each prompt. age: steps that were trained since its policy: 0 or 1.

    seconds: it took. waited: seconds that training stood still for it.
    """

    answers: list[tuple[Answer, ...]]
    age: int
    seconds: float
    waited: float


@dataclass(frozen=True, slots=True)
class _Begun:
    asked: Asked
    version: int
    future: "Future[tuple[list[tuple[Answer, ...]], float]]"


class Ahead:
    """A sampler with at most one step under way. Use as a context manager.

    sampler: answers by itself while the actor is trained, or cannot, and then nothing is begun.
    keep: saves what was learned, of all processes together, before waiting ends without answers.
    """

    def __init__(self, sampler: Sampler, stop: Stop, keep: Callable[[], None]) -> None:
        self._sampler = sampler
        self._stop = stop
        self._keep = keep
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="rollouts")
        self._begun: _Begun | None = None

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sampler.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def begin(self, asked: Asked, version: int) -> None:
        """Sample for a step to come, from the actor as it is now. version: steps trained so far."""
        if self._sampler.overlaps:
            self._begun = self._begin(asked, version)

    def take(self, asked: Asked) -> Sampled:
        """The answers of the step that is to be trained now.

        Raises Stopped while it waits, and what the sampler raised.
        """
        since = time.monotonic()
        begun, self._begun = self._begun, None
        if begun is None or begun.asked != asked:
            if not self._sampler.overlaps:
                self._sampler.publish()
                answers = self._sampler.sample(asked.prompts, asked.seed)
                took = time.monotonic() - since
                return Sampled(answers, 0, took, took)
            begun = self._begin(asked, asked.step)
        answers, seconds = self._wait(begun)
        return Sampled(answers, asked.step - begun.version, seconds, time.monotonic() - since)

    def _begin(self, asked: Asked, version: int) -> _Begun:
        # Here and not in the thread: the actor must not change while it is written.
        self._sampler.publish()
        return _Begun(asked, version, self._pool.submit(_timed, self._sampler, asked))

    def _wait(self, begun: _Begun) -> tuple[list[tuple[Answer, ...]], float]:
        """Processes wait together: one that went on alone would meet the others nowhere."""
        while True:
            wait([begun.future], timeout=LOOK_S)
            done = begun.future.done()
            failed = done and begun.future.exception() is not None
            stopping, failing, waiting = anywhere(self._stop.requested, failed, not done)
            if stopping or failing:
                self._keep()
            if stopping:
                raise Stopped(f"Stopped before step {begun.asked.step + 1}.")
            if failing and not failed:
                raise Passing("Another process of the run got no answers.")
            if failing or not waiting:
                return begun.future.result()


def _timed(sampler: Sampler, asked: Asked) -> tuple[list[tuple[Answer, ...]], float]:
    since = time.monotonic()
    return sampler.sample(asked.prompts, asked.seed), time.monotonic() - since
