"""One replica: good answers are believed, everything else becomes one clear error."""

import asyncio
import math
import time
from typing import Any

import pytest

from inference import client as client_module
from inference.client import ReplicaClient
from inference.completions import CompletionRequest, CompletionResult, Endpoint, Sampling
from inference.errors import InferenceError
from tests.inference import fake_vllm
from tests.inference.fake_vllm import Behaviour, FakeVllm, changed

HELLO = [{"role": "user", "content": "Hello"}]
SAMPLING = Sampling(temperature=0.8, top_p=0.95, max_tokens=16)


def ask(endpoint: Endpoint, *, n: int = 1, key: str = "", **more: Any) -> list[CompletionResult]:
    async def run() -> list[CompletionResult]:
        async with ReplicaClient(endpoint, api_key=key) as client:
            return await client.complete(CompletionRequest("base", HELLO, SAMPLING, n, **more))

    return asyncio.run(run())


def failure(endpoint: Endpoint, **more: Any) -> InferenceError:
    with pytest.raises(InferenceError) as caught:
        ask(endpoint, **more)
    return caught.value


def test_n_completions_come_from_one_request(fake: FakeVllm, endpoint: Endpoint) -> None:
    results = ask(endpoint, n=4)
    assert [result.text for result in results] == [f"base says {i}" for i in range(4)]
    assert len(fake.requests) == 1


def test_a_completion_knows_where_it_comes_from(endpoint: Endpoint) -> None:
    result = ask(endpoint)[0]
    assert (result.model, result.replica, result.server) == ("base", "gpu-1", "vllm-fake")
    assert result.chat_template_hash == "c" * 64
    assert (result.tokens, result.prompt_tokens, result.finish_reason) == (3, 7, "stop")
    assert result.logprob_sum == pytest.approx(3 * (-0.5 - sum(map(ord, "base")) % 7))
    assert result.latency_s > 0


def test_no_seed_is_ever_sent(fake: FakeVllm, endpoint: Endpoint) -> None:
    ask(endpoint, n=2, top_logprobs=3, cache_salt="x")
    assert "seed" not in fake.requests[0]


def test_the_key_is_sent(fake: FakeVllm, endpoint: Endpoint) -> None:
    fake.api_key = "sesame"
    assert ask(endpoint, key="sesame")[0].text
    error = failure(endpoint, key="wrong")
    assert error.permanent
    assert "INFERENCE_API_KEY" in error.summary


def test_the_key_is_sent_on_every_route(fake: FakeVllm, endpoint: Endpoint) -> None:
    """Each of them wants it, but for /health."""
    fake.api_key = "sesame"

    async def run() -> None:
        async with ReplicaClient(endpoint, api_key="sesame") as client:
            await client.check_health()
            assert await client.models()
            assert "vllm:" in await client.metrics()
            assert (await client.tokenize("base", HELLO)).ids
            await client.load_adapter("a", "/served/a")
            await client.unload_adapter("a")

    asyncio.run(run())
    assert fake.lora_calls == ["load a", "unload a"]


@pytest.mark.parametrize("content", ["", None])
def test_an_empty_completion_is_a_completion(
    fake: FakeVllm, endpoint: Endpoint, content: str | None
) -> None:
    fake.script = [changed(lambda r: r["choices"][0]["message"].update(content=content))]
    assert ask(endpoint)[0].text == ""


def test_a_zero_byte_becomes_what_browsers_show(fake: FakeVllm, endpoint: Endpoint) -> None:
    fake.script = [changed(lambda r: r["choices"][0]["message"].update(content="a\x00b"))]
    assert ask(endpoint)[0].text == "a\ufffdb"


def first_token(**fields: Any) -> Behaviour:
    return changed(lambda r: r["choices"][0]["logprobs"]["content"][0].update(fields))


BAD_ANSWERS: dict[str, Behaviour] = {
    "no JSON": fake_vllm.raw(b"<html>proxy error</html>"),
    "nothing": fake_vllm.raw(b""),
    "half an object": fake_vllm.raw(b'{"model": "base", "choices": ['),
    "broken UTF-8": fake_vllm.raw(b'{"model": "\xff\xfe"}'),
    "a list": fake_vllm.raw(b"[]"),
    "deep nesting": fake_vllm.raw(b"[" * 100_000),
    "another model": changed(lambda r: r.update(model="other")),
    "no model": changed(lambda r: r.pop("model")),
    "too few completions": changed(lambda r: r["choices"].pop()),
    "too many completions": changed(lambda r: r["choices"].append(r["choices"][0])),
    "doubled index": changed(lambda r: r["choices"][0].update(index=1)),
    "choices are no list": changed(lambda r: r.update(choices={})),
    "no message": changed(lambda r: r["choices"][0].pop("message")),
    "no content": changed(lambda r: r["choices"][0]["message"].pop("content")),
    "content is a number": changed(lambda r: r["choices"][0]["message"].update(content=7)),
    "content is a list": changed(lambda r: r["choices"][0]["message"].update(content=["a"])),
    "endless content": changed(
        lambda r: r["choices"][0]["message"].update(content="a" * 1_000_001)
    ),
    "lone surrogate": changed(lambda r: r["choices"][0]["message"].update(content="\ud800")),
    "no log-probabilities": changed(lambda r: r["choices"][0].update(logprobs=None)),
    "NaN": first_token(logprob=math.nan),
    "minus infinity": first_token(logprob=-math.inf),
    "positive log-probability": first_token(logprob=1.0),
    "log-probability as text": first_token(logprob="-1"),
    "log-probability true": first_token(logprob=True),
    "vLLM's mark for none": first_token(logprob=-9999.0),
    "unknown finish reason": changed(lambda r: r["choices"][0].update(finish_reason="abort")),
    "no usage": changed(lambda r: r.pop("usage")),
    "usage does not add up": changed(lambda r: r["usage"].update(completion_tokens=999)),
    "negative usage": changed(lambda r: r["usage"].update(prompt_tokens=-1)),
    "usage beyond any column": changed(lambda r: r["usage"].update(prompt_tokens=2**40)),
    "more tokens than allowed": changed(
        lambda r: [c["logprobs"].update(content=c["logprobs"]["content"] * 9) for c in r["choices"]]
    ),
}


@pytest.mark.parametrize("behaviour", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_senseless_answer_is_refused(
    fake: FakeVllm, endpoint: Endpoint, behaviour: Behaviour
) -> None:
    fake.script = [behaviour]
    error = failure(endpoint, n=2)
    assert error.code == "bad_response"
    assert not error.permanent
    assert not error.replica_is_away
    assert "gpu-1" in error.summary


def test_an_absurdly_large_answer_is_cut_short(
    fake: FakeVllm, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_BODY", 10_000)
    fake.script = [fake_vllm.raw(b" " * 20_000)]
    assert failure(endpoint).code == "bad_response"


TOO_LONG = "This model's maximum context length is 2048 tokens. However, your prompt contains …"
STATUSES = [
    (400, TOO_LONG, "context_length", True),
    (400, "max_tokens=5000 cannot be greater than max_model_len=2048.", "context_length", True),
    (400, "Conversation roles must alternate", "refused", True),
    (400, "Out of range float values are not JSON compliant: nan", "server_error", False),
    (401, "Unauthorized", "unauthorized", True),
    (403, "Forbidden", "unauthorized", True),
    (404, "The model `base` does not exist.", "unknown_model", True),
    (404, "Not Found", "refused", True),
    (301, "Moved", "refused", True),
    (422, "Unprocessable", "refused", True),
    (501, "Not implemented", "refused", True),
    (408, "Timeout", "timeout", False),
    (429, "Too many", "overloaded", False),
    (500, "EngineDeadError", "server_error", False),
    (502, "Bad gateway", "server_error", False),
    (503, "Engine is dead", "overloaded", False),
]


@pytest.mark.parametrize(("status", "said", "code", "permanent"), STATUSES)
def test_a_status_says_whether_trying_again_helps(
    fake: FakeVllm, endpoint: Endpoint, status: int, said: str, code: str, permanent: bool
) -> None:
    fake.script = [fake_vllm.error(status, said)]
    error = failure(endpoint)
    assert (error.code, error.permanent) == (code, permanent)
    assert said in error.detail


@pytest.mark.parametrize(
    "body", [b'{"error": "Unauthorized"}', b"", b"\xff\x00", b"[1]", b'{"error": {}}']
)
def test_an_error_body_may_be_anything(fake: FakeVllm, endpoint: Endpoint, body: bytes) -> None:
    fake.script = [fake_vllm.raw(body, 500)]
    assert failure(endpoint).code == "server_error"


@pytest.mark.parametrize("behaviour", [fake_vllm.hang_up, fake_vllm.break_off])
def test_a_broken_connection_is_worth_another_try(
    fake: FakeVllm, endpoint: Endpoint, behaviour: Behaviour
) -> None:
    fake.script = [behaviour]
    error = failure(endpoint)
    assert (error.code, error.permanent) == ("unreachable", False)
    assert error.replica_is_away


def test_nobody_at_the_address() -> None:
    error = failure(Endpoint("gone", "http://127.0.0.1:9"))
    assert (error.code, error.permanent) == ("unreachable", False)


@pytest.mark.parametrize("behaviour", [fake_vllm.hang, fake_vllm.trickle])
def test_the_deadline_covers_silence_and_trickling(
    fake: FakeVllm, endpoint: Endpoint, behaviour: Behaviour
) -> None:
    fake.script = [behaviour]
    began = time.monotonic()
    error = failure(endpoint, deadline_s=0.3)
    assert (error.code, error.permanent) == ("timeout", False)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "values",
    [(-0.1, 1.0, 1), (2.1, 1.0, 1), (math.nan, 1.0, 1), (1.0, 0.0, 1), (1.0, 1.1, 1), (1, 1, 0)],
)
def test_impossible_sampling_is_refused_at_once(values: tuple[float, float, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Sampling(*values)
