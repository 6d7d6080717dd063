"""What is asked of a replica and what it answers, as plain frozen values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Messages = Sequence[Mapping[str, str]]
FinishReason = Literal["stop", "length"]
GREEDY_BELOW = 1e-5


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A replica as the client needs it: no database behind it.

    models: what may be asked for. answers_as: which served name answers for such a name, where it
    is another (an alias, or a base behind its zero adapter). adapters: content hashes by served
    name. stop_token_ids: what ends a turn by the chat template; vLLM stops at the end of a text by
    itself. chat_template_kwargs: settings of the chat template, as the model was trained with.
    """

    name: str
    url: str
    models: frozenset[str] = frozenset()
    chat_template_hash: str = ""
    max_model_len: int | None = None
    answers_as: Mapping[str, str] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    stop_token_ids: tuple[int, ...] = ()
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. There is no seed: vLLM on the CPU dies of a seed in a batch."""

    temperature: float
    top_p: float
    max_tokens: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and 0 <= self.temperature <= 2):
            raise ValueError(f"temperature must be between 0 and 2, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")

    @property
    def greedy(self) -> bool:
        """Whether vLLM draws nothing. It refuses to give more than one such answer a request."""
        return self.temperature < GREEDY_BELOW


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """`n` completions of one conversation, drawn alike."""

    model: str
    messages: Messages
    sampling: Sampling
    n: int = 1
    deadline_s: float | None = None
    top_logprobs: int = 0  # > 0: `CompletionResult.positions` is filled
    cache_salt: str | None = None  # keeps vLLM from answering out of its prefix cache

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be at least 1, not {self.n}")

    def body(self) -> dict[str, Any]:
        """The JSON sent to /v1/chat/completions."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(message) for message in self.messages],
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "max_tokens": self.sampling.max_tokens,
            "n": self.n,
            "logprobs": True,
            "stream": False,
        }
        if self.top_logprobs:
            # Ids, because different tokens can read the same (halves of a character).
            body |= {"top_logprobs": self.top_logprobs, "return_tokens_as_token_ids": True}
        if self.cache_salt:
            body["cache_salt"] = self.cache_salt
        return body


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of a text or a conversation, by a replica's tokenizer. texts: what each token is called."""

    ids: tuple[int, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """One generated token: what was drawn, and the log-probabilities of the likeliest tokens."""

    token: str
    logprob: float
    top: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """One completion with where it came from.

    text: may be empty. tokens: generated tokens, end token included.
    logprob_sum: natural logarithm under the model itself (temperature 1, top_p 1), end token
    included. model: as the server named it; adapter_hash: of that adapter's content, empty for a
    base. server: vLLM's version and configuration hash. prompt_tokens: of the conversation after
    the chat template. latency_s: of the whole request.
    """

    text: str
    finish_reason: FinishReason
    tokens: int
    logprob_sum: float
    model: str
    prompt_tokens: int
    replica: str
    chat_template_hash: str
    server: str
    latency_s: float
    positions: tuple[Position, ...] = ()
    adapter_hash: str = ""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One entry of /v1/models. `parent` is the base of an adapter and empty for a base."""

    name: str
    root: str
    parent: str
    max_model_len: int | None
