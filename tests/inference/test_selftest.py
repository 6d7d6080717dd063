"""The mixed-batch self-test: mix-ups are seen, rounding is not mistaken for one."""

import asyncio

import pytest

from inference import selftest
from inference.client import ReplicaClient
from inference.completions import Endpoint, Position
from inference.errors import InferenceError
from inference.selftest import Reading, Readings, Verdict, judge, shift
from tests.inference import fake_vllm
from tests.inference.fake_vllm import FakeVllm


def reading(*logprobs: float, letter: str = "a") -> Reading:
    """Positions whose likeliest token has these log-probabilities, the second always -3."""
    return tuple(Position(letter, value, {letter: value, "z": -3.0}) for value in logprobs)


def moved(readings: Readings, by: float) -> dict[str, tuple[Reading, ...]]:
    return {
        name: tuple(tuple(_moved(position, by) for position in one) for one in answers)
        for name, answers in readings.items()
    }


def _moved(position: Position, by: float) -> Position:
    return Position(
        position.token,
        position.logprob + by,
        {token: value + by for token, value in position.top.items()},
    )


BASE = (reading(-0.1, -0.2), reading(-0.3, -0.4))
ADAPTER = (reading(-1.5, -1.6, letter="b"), reading(-1.7, -1.8, letter="b"))
ALONE: Readings = {"base": BASE, "adapter": ADAPTER}


def test_the_shift_is_worked_by_hand() -> None:
    # Alternatives a and z: |-0.1 + 0.5| and 0, then |-0.2 + 0.2| and 0: means 0.2 and 0.
    assert shift(reading(-0.1, -0.2), reading(-0.5, -0.2)) == pytest.approx(0.1)


def test_the_shift_stops_at_the_first_different_token() -> None:
    one = (*reading(-0.1), *reading(-0.2, letter="b"), *reading(-0.3))
    other = (*reading(-0.1), *reading(-0.2, letter="c"), *reading(-2.9))
    # Position 2: a missing token counts as the least likely listed: b 2.8, c 2.8, z 0.
    assert shift(one, other) == pytest.approx((0 + 5.6 / 3) / 2)


def test_a_healthy_server_passes() -> None:
    assert judge("base", ALONE, moved(ALONE, 0.05)).passed


def test_two_adapters_that_hardly_differ_both_pass() -> None:
    alone = {"old": BASE, "new": moved({"new": BASE}, 0.04)["new"]}
    assert judge("old", alone, moved(alone, -0.04)).passed
    assert judge("new", alone, moved(alone, 0.04)).passed


def test_a_base_that_answers_like_the_adapter_fails() -> None:
    verdict = judge("base", ALONE, {"base": ADAPTER, "adapter": ADAPTER})
    assert verdict.passed is False
    assert 'like "adapter" instead of itself' in verdict.detail


def test_a_lightly_trained_adapter_is_told_from_the_base() -> None:
    light = moved({"light": BASE}, -0.12)["light"]
    alone = {"base": BASE, "light": light}
    mixed = moved({"base": light, "light": light}, 0.02)
    assert judge("base", alone, mixed).passed is False
    assert judge("light", alone, mixed).passed


def test_one_probe_in_the_wrong_voice_is_enough() -> None:
    alone = {"base": BASE * 4, "adapter": ADAPTER * 4}
    mixed = {"base": (*BASE * 3, BASE[0], ADAPTER[1]), "adapter": ADAPTER * 4}
    assert judge("base", alone, mixed).passed is False


def test_a_lonely_model_that_babbles_in_batches_fails() -> None:
    verdict = judge("base", {"base": BASE}, {"base": (reading(-2.0), reading(-2.5))})
    assert verdict.passed is False
    assert "differently" in verdict.detail


# --- against a server -----------------------------------------------------------------------


def run(fake: FakeVllm, **known: dict[str, str]) -> dict[str, Verdict]:
    async def test() -> dict[str, Verdict]:
        async with ReplicaClient(Endpoint("gpu-1", fake.url)) as client:
            return await selftest.run(client, list(fake.models), **known)  # type: ignore[arg-type]

    return asyncio.run(test())


def test_every_name_is_asked_alone_and_then_with_all_others(fake: FakeVllm) -> None:
    fake.models = {"base": "", "red": "base", "blue": "base"}
    fake.delay_s = 0.3  # the twelve of a mixed batch are all there before the first is answered
    verdicts = run(fake)
    assert all(verdict.passed for verdict in verdicts.values())
    assert len(fake.requests) == 3 * len(selftest.PROBES) * 3  # alone, and mixed twice
    assert fake.most_at_once > len(selftest.PROBES)


def test_no_answer_comes_out_of_the_cache(fake: FakeVllm) -> None:
    run(fake)
    salts = [request["cache_salt"] for request in fake.requests]
    assert len(set(salts)) == len(salts)


def test_a_server_that_mixes_up_is_caught(fake: FakeVllm) -> None:
    fake.models = {"base": "", "red": "base"}
    fake.mixes_up, fake.delay_s = True, 0.05
    verdicts = run(fake)
    assert verdicts["base"].passed is False
    assert verdicts["red"].passed


def test_an_adapter_that_the_server_ignores_is_caught(fake: FakeVllm) -> None:
    fake.models = {"base": "", "red": "base", "base+zero": "base"}
    fake.ignores_adapters = True
    verdicts = run(fake, same={"base+zero": "base"}, weighted={"red": "base"})
    assert verdicts["base"].passed
    assert verdicts["base+zero"].passed, "a zero adapter is its base"
    assert verdicts["red"].passed is False
    assert 'those of "base" to the last digit' in verdicts["red"].detail


def test_an_adapter_without_weights_may_answer_as_its_base(fake: FakeVllm) -> None:
    fake.models, fake.ignores_adapters = {"base": "", "red": "base"}, True
    assert run(fake, weighted={})["red"].passed


def test_an_alias_is_refused_with_the_name_to_use(fake: FakeVllm) -> None:
    fake.models = {"base": "", "nickname": ""}
    good = fake_vllm.changed(lambda r: r)
    alias = fake_vllm.changed(lambda r: r.update(model="base"))
    fake.script = [good] * len(selftest.PROBES) + [alias]
    verdicts = run(fake)
    assert verdicts["base"].passed
    assert verdicts["nickname"].passed is False
    assert 'answered as "base"' in verdicts["nickname"].detail


def test_a_server_without_log_probabilities_is_refused(fake: FakeVllm) -> None:
    fake.script = [fake_vllm.changed(_without_tokens)]
    assert run(fake)["base"].passed is False


def _without_tokens(reply: fake_vllm.Json) -> None:
    reply["choices"][0]["logprobs"]["content"] = []
    reply["usage"]["completion_tokens"] = 0


def test_a_server_that_goes_away_leaves_the_verdict_open(fake: FakeVllm) -> None:
    fake.script = [fake_vllm.hang_up]
    with pytest.raises(InferenceError) as caught:
        run(fake)
    assert caught.value.replica_is_away


def test_alikes_on_a_busy_server_are_no_proof(
    fake: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest, "IDLE_WAIT_S", 0.1)
    fake.models, fake.running = {"base": "", "red": "base"}, 3
    fake.script = [fake_vllm.changed(_in_reds_voice)] * len(selftest.PROBES)
    verdicts = run(fake, weighted={"red": "base"})
    assert verdicts["base"].passed is None
    assert verdicts["red"].passed is None, "it may be the base that was mixed up"
    fake.running = 0


def _in_reds_voice(reply: fake_vllm.Json) -> None:
    body = {"model": "red", "n": 1, "max_tokens": 10, "top_logprobs": 2}
    reply["choices"] = fake_vllm.good_reply(body)["choices"]
