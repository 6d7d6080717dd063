"""Strict reading of what a server sent: every field is checked before it is believed.

All functions raise `InferenceError("bad_response")`. It is worth another try: a proxy in between
or a server that is going down may explain it.
"""

import math
from collections.abc import Mapping
from typing import Any, cast

import orjson

from inference.completions import (
    CompletionRequest,
    CompletionResult,
    Endpoint,
    FinishReason,
    ModelCard,
    Position,
    Tokens,
)
from inference.errors import InferenceError

MAX_TEXT = 1_000_000  # characters in one completion; a context of a million tokens is far away
MAX_MODELS = 1_000
MAX_COUNT = 2**31 - 1  # what a column of PostgreSQL holds
MISSING_LOGPROB = -9999.0  # vLLM writes this when it has none
SLACK = 1e-3  # rounding may push the log-probability of a certain token a little above 0


def bad(endpoint: Endpoint, what: str) -> InferenceError:
    return InferenceError(
        "bad_response",
        f"The inference server {endpoint.name} sent a senseless answer; it is tried again.",
        detail=what,
    )


def decode(raw: bytes, endpoint: Endpoint) -> Any:
    """JSON of an answer. NaN, Infinity and broken Unicode are refused too."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise bad(endpoint, f"not JSON: {error}; begins {raw[:80]!r}") from error


def read_completions(
    reply: Any, request: CompletionRequest, endpoint: Endpoint, latency_s: float
) -> list[CompletionResult]:
    """The `request.n` completions in an answer of /v1/chat/completions, by index."""
    reply = _object(reply, "the answer", endpoint)
    model = _text(reply.get("model"), "model", endpoint)
    if model != request.model:
        raise InferenceError(
            "bad_response",
            f'The inference server {endpoint.name} answered as "{model[:80]}" '
            f'when asked for "{request.model}".',
            detail="name of the model in the answer",
        )
    choices = _list(reply.get("choices"), "choices", endpoint)
    if len(choices) != request.n:
        raise bad(endpoint, f"{len(choices)} completions instead of {request.n}")
    usage = _object(reply.get("usage"), "usage", endpoint)
    prompt_tokens = _count(usage.get("prompt_tokens"), "usage.prompt_tokens", endpoint)
    results: dict[int, CompletionResult] = {}
    for item in choices:
        choice = _object(item, "a choice", endpoint)
        index = _count(choice.get("index"), "index", endpoint)
        positions = _positions(choice.get("logprobs"), endpoint)
        if len(positions) > request.sampling.max_tokens:
            raise bad(
                endpoint,
                f"{len(positions)} tokens, asked for at most {request.sampling.max_tokens}",
            )
        results[index] = CompletionResult(
            text=_content(choice.get("message"), endpoint),
            finish_reason=_finish_reason(choice.get("finish_reason"), endpoint),
            tokens=len(positions),
            logprob_sum=math.fsum(position.logprob for position in positions),
            model=model,
            adapter_hash=endpoint.adapters.get(model, ""),
            prompt_tokens=prompt_tokens,
            replica=endpoint.name,
            chat_template_hash=endpoint.chat_template_hash,
            server=_optional_text(reply.get("system_fingerprint")),
            latency_s=latency_s,
            positions=positions if request.top_logprobs else (),
        )
    if sorted(results) != list(range(request.n)):
        raise bad(endpoint, f"completions are numbered {sorted(results)}")
    total = _count(usage.get("completion_tokens"), "usage.completion_tokens", endpoint)
    if total != sum(result.tokens for result in results.values()):
        raise bad(endpoint, f"usage counts {total} tokens, the completions have another number")
    return [results[index] for index in range(request.n)]


def read_models(reply: Any, endpoint: Endpoint) -> list[ModelCard]:
    """The served names of an answer of /v1/models."""
    data = _list(_object(reply, "the answer", endpoint).get("data"), "data", endpoint)
    if len(data) > MAX_MODELS:
        raise bad(endpoint, f"{len(data)} models")
    cards: dict[str, ModelCard] = {}
    for item in data:
        entry = _object(item, "a model", endpoint)
        name = _text(entry.get("id"), "id", endpoint)
        if not name or len(name) > 255 or name != storable(name):
            raise bad(endpoint, f"a model is named {name[:80]!r}")
        root, parent = _optional_text(entry.get("root")), _optional_text(entry.get("parent"))
        if len(root) > 4096 or len(parent) > 255:
            raise bad(endpoint, f"root or parent of {name!r} is overlong")
        length = entry.get("max_model_len")
        cards[name] = ModelCard(
            name=name,
            root=root,
            parent=parent,
            max_model_len=None if length is None else _count(length, "max_model_len", endpoint),
        )
    return list(cards.values())


def read_tokens(reply: Any, endpoint: Endpoint) -> Tokens:
    """The tokens of an answer of /tokenize that was asked for their texts."""
    reply = _object(reply, "the answer", endpoint)
    ids = _list(reply.get("tokens"), "tokens", endpoint)
    texts = _list(reply.get("token_strs"), "token_strs", endpoint)
    if len(ids) != len(texts):
        raise bad(endpoint, f"{len(ids)} tokens with {len(texts)} texts")
    return Tokens(
        tuple(_count(token, "a token", endpoint) for token in ids),
        tuple(_text(text, "a token's text", endpoint) for text in texts),
    )


def storable(text: str) -> str:
    """PostgreSQL cannot keep U+0000; browsers show it as U+FFFD, so that is what becomes of it."""
    return text.replace("\x00", "\ufffd")


def _content(message: Any, endpoint: Endpoint) -> str:
    content = _object(message, "message", endpoint).get("content", ...)
    if content is None:  # what some parsers of vLLM make of an answer that ends at once
        return ""
    text = _text(content, "content", endpoint)
    if len(text) > MAX_TEXT:
        raise bad(endpoint, f"a completion of {len(text)} characters")
    return storable(text)


def _finish_reason(value: Any, endpoint: Endpoint) -> FinishReason:
    if value not in ("stop", "length"):
        raise bad(endpoint, f"finish_reason {value!r}")
    return cast(FinishReason, value)


def _positions(logprobs: Any, endpoint: Endpoint) -> tuple[Position, ...]:
    content = _list(
        _object(logprobs, "logprobs", endpoint).get("content"), "logprobs.content", endpoint
    )
    return tuple(_position(_object(item, "a token", endpoint), endpoint) for item in content)


def _position(item: Mapping[str, Any], endpoint: Endpoint) -> Position:
    top: dict[str, float] = {}
    for entry in _list(item.get("top_logprobs") or [], "top_logprobs", endpoint):
        alternative = _object(entry, "an alternative", endpoint)
        value = alternative.get("logprob")
        if isinstance(value, float | int) and value > MISSING_LOGPROB:
            top[_text(alternative.get("token"), "token", endpoint)] = _logprob(value, endpoint)
    return Position(
        _text(item.get("token"), "token", endpoint), _logprob(item.get("logprob"), endpoint), top
    )


def _logprob(value: Any, endpoint: Endpoint) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, float | int)
        or not MISSING_LOGPROB < value <= SLACK
    ):
        raise bad(endpoint, f"log-probability {value!r}")
    return min(float(value), 0.0)


def _object(value: Any, what: str, endpoint: Endpoint) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise bad(endpoint, f"{what} is no object")
    return value


def _list(value: Any, what: str, endpoint: Endpoint) -> list[Any]:
    if not isinstance(value, list):
        raise bad(endpoint, f"{what} is no list")
    return value


def _text(value: Any, what: str, endpoint: Endpoint) -> str:
    if not isinstance(value, str):
        raise bad(endpoint, f"{what} is no text")
    return value


def _optional_text(value: Any) -> str:
    return storable(value) if isinstance(value, str) else ""


def _count(value: Any, what: str, endpoint: Endpoint) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT:
        return int(value)
    raise bad(endpoint, f"{what} is no count")
