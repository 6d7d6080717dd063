"""Does each served name answer in a mixed batch as it does alone?

In a batch that mixes the two, vLLM on the CPU answers base-model requests with whatever lies in
its last place for adapters (measured: right while that is empty, wrong once as many adapters are
loaded as --max-loras allows), and says nothing. So greedy probes are asked one by one, then those
of all names at once, and compared.

Texts are no measure: batching alone changes late tokens by rounding. Compared are the
log-probabilities of the likeliest tokens at each position up to the first different token. With
SmolLM2-135M in bfloat16 on the CPU, rounding moves them by 0.045 on average (nothing at the first
token), another adapter by 0.7 to 1.4.

An adapter that the server takes and then ignores answers alone as in any batch. So one that has
weights must not answer as its base does to the last digit, nor as a zero adapter of it.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from uuid import uuid4

from inference.client import ReplicaClient
from inference.completions import CompletionRequest, Position, Sampling
from inference.errors import InferenceError
from inference.vitals import requests_in_progress

PROBES = (
    "Name a colour.",
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "Who wrote Hamlet?",
)
TOKENS = 10
ALTERNATIVES = 10
PROBE_DEADLINE_S = 120.0
IDLE_WAIT_S = 60.0
TOLERANCE = 0.3  # largest mean shift of one probe that rounding may explain
NOISE = 0.03  # below this a shift says nothing, whoever it resembles

IGNORED = (
    'Its answers are those of "{twin}" to the last digit, although it has weights: the server '
    "takes it and ignores it. It is not used on this server. See whether its vLLM serves adapters "
    "of this model and of the adapter's layers (lora.targets), update it, or train other layers."
)

Reading = tuple[Position, ...]  # one answer to one probe
Readings = Mapping[str, tuple[Reading, ...]]  # served name -> one reading a probe


@dataclass(frozen=True, slots=True)
class Verdict:
    """passed None: could not be told this time. detail: for people."""

    passed: bool | None
    detail: str


async def run(
    client: ReplicaClient,
    names: Iterable[str],
    *,
    same: Mapping[str, str] = MappingProxyType({}),
    weighted: Mapping[str, str] = MappingProxyType({}),
    idle_wait_s: float | None = None,
) -> dict[str, Verdict]:
    """A verdict for each of the served `names`. Raises InferenceError when the replica is away.

    same: a zero adapter's base by its name; the two are one model and may answer like one another.
    weighted: an adapter's base by its name, of those that do change answers.
    """
    idle = await _wait_until_idle(client, IDLE_WAIT_S if idle_wait_s is None else idle_wait_s)
    alone: dict[str, tuple[Reading, ...]] = {}
    verdicts: dict[str, Verdict] = {}
    for name in names:
        try:
            alone[name] = tuple([await _ask(client, name, probe) for probe in PROBES])
        except InferenceError as error:
            if error.replica_is_away or error.code == "timeout":
                raise
            verdicts[name] = Verdict(False, f"A probe brought no usable answer: {error.summary}")
    try:
        mixed = [await _ask_all(client, list(alone)), await _ask_all(client, list(alone)[::-1])]
    except* InferenceError as errors:
        raise _first(errors) from errors
    for name in alone:
        strangers = {n: r for n, r in alone.items() if n == name or not _one(n, name, same)}
        verdicts[name] = _worst(judge(name, strangers, readings) for readings in mixed)
        if name in weighted and (twin := _ignored(name, weighted[name], alone, same)):
            verdicts[name] = Verdict(False, IGNORED.format(twin=twin))
        if not idle and _has_twin(name, strangers):
            verdicts[name] = Verdict(
                None,
                "The server was busy and two models answered alike, which may be a mix-up; "
                "it is checked again as soon as the server is idle.",
            )
    return verdicts


def judge(name: str, alone: Readings, mixed: Readings) -> Verdict:
    """Compares what `name` said in the mixed batch with what every name said alone."""
    own = [shift(a, b) for a, b in zip(alone[name], mixed[name], strict=True)]
    others = {
        other: [shift(a, b) for a, b in zip(readings, mixed[name], strict=True)]
        for other, readings in alone.items()
        if other != name
    }
    moved = sum(value > TOLERANCE for value in own)
    nearest = min(others, key=lambda other: fmean(others[other]), default=None)
    if nearest is not None and _resembles(own, others[nearest]):
        return Verdict(
            False,
            f'In a batch with other models it answers like "{nearest}" instead of itself. '
            "vLLM on the CPU does this when all its places for adapters are taken. It is not used "
            "on this server: start that with a --max-loras above the number of adapters.",
        )
    if moved:
        return Verdict(
            False,
            f"In a batch it answers differently from alone ({moved} of {len(own)} probes). "
            "It is not used on this server; its vLLM is broken for this model.",
        )
    return Verdict(True, f"Answers in a mixed batch as alone (shift {fmean(own):.3f}).")


def shift(alone: Reading, mixed: Reading) -> float:
    """Mean absolute difference of log-probabilities up to the first different token, in nats."""
    differences: list[float] = []
    for a, b in zip(alone, mixed, strict=False):
        floor_a, floor_b = min(a.top.values()), min(b.top.values())
        tokens = a.top.keys() | b.top.keys()
        differences.append(
            fmean(abs(a.top.get(t, floor_a) - b.top.get(t, floor_b)) for t in tokens)
        )
        if a.token != b.token:
            break
    return fmean(differences) if differences else 0.0


def _resembles(own: list[float], other: list[float]) -> bool:
    """True when the answers, together or any one of them, are another's rather than its own."""
    together = fmean(own) > NOISE and fmean(other) < fmean(own) / 2
    single = any(
        mine > TOLERANCE / 2 and its < mine / 2 for mine, its in zip(own, other, strict=True)
    )
    return together or single


def _has_twin(name: str, alone: Readings) -> bool:
    return any(
        fmean(shift(a, b) for a, b in zip(alone[name], readings, strict=True)) < 3 * NOISE
        for other, readings in alone.items()
        if other != name
    )


def _ignored(name: str, base: str, alone: Readings, same: Mapping[str, str]) -> str | None:
    """The base or zero adapter whose answers these are to the last digit.

    The smallest weights move digits: over a thousand sums of each layer, some round otherwise.
    """
    plain = (other for other in alone if other != name and same.get(other, other) == base)
    return next((other for other in plain if alone[other] == alone[name]), None)


def _one(name: str, other: str, same: Mapping[str, str]) -> bool:
    return same.get(name, name) == same.get(other, other)


def _first(errors: BaseExceptionGroup[InferenceError]) -> InferenceError:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _worst(verdicts: Iterable[Verdict]) -> Verdict:
    return min(verdicts, key=lambda verdict: bool(verdict.passed))


async def _ask_all(client: ReplicaClient, names: list[str]) -> dict[str, tuple[Reading, ...]]:
    """All probes of all names at once, names alternating, so that every step of vLLM mixes them."""
    keys = [(name, probe) for probe in PROBES for name in names]
    async with asyncio.TaskGroup() as group:
        tasks = {key: group.create_task(_ask(client, *key)) for key in keys}
    readings = {key: task.result() for key, task in tasks.items()}
    return {name: tuple(readings[name, probe] for probe in PROBES) for name in names}


async def _ask(client: ReplicaClient, name: str, probe: str) -> Reading:
    request = CompletionRequest(
        model=name,
        messages=[{"role": "user", "content": probe}],
        sampling=Sampling(temperature=0.0, top_p=1.0, max_tokens=TOKENS),
        top_logprobs=ALTERNATIVES,
        cache_salt=uuid4().hex,  # the second answer must be computed, not remembered
        deadline_s=PROBE_DEADLINE_S,
    )
    positions = (await client.complete(request))[0].positions
    if not positions or not all(position.top for position in positions):
        raise InferenceError(
            "bad_response", "The server sends no log-probabilities.", permanent=True
        )
    return positions


async def _wait_until_idle(client: ReplicaClient, wait_s: float) -> bool:
    """Asking "alone" means nothing while others ask too. False if they did not stop in time."""
    limit = time.monotonic() + wait_s
    while requests_in_progress(await client.metrics()) > 0:
        if time.monotonic() > limit:
            return False
        await asyncio.sleep(0.5)
    return True
