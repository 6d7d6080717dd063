"""Talks to one replica over HTTP.

Every call has a deadline over everything, every answer a largest size.
"""

import asyncio
import time
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from formats.control_tokens import candidates, likely, neutral_messages
from inference import refusals, replies
from inference.completions import (
    CompletionRequest,
    CompletionResult,
    Endpoint,
    Messages,
    ModelCard,
    Tokens,
)
from inference.errors import InferenceError

CONNECT_S = 5.0
PROBE_S = 5.0  # health, models, metrics
TOKENIZE_S = 30.0
LOAD_S = 60.0  # an adapter: 40 ms, more when the engine is in the middle of a long step
MAX_BODY = 32 * 2**20  # bytes; a token takes about 150 with its log-probability
MOST_KNOWN = 10_000  # texts of which the tokenizer was asked; prompts of code have many
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def deadline_for(max_tokens: int) -> float:
    """Seconds granted to a request: waiting its turn, reading the prompt, writing the answer.

    The slowest rate measured is 2 tokens/s (each of 32 requests to an adapter on two CPU cores);
    half of it is granted.
    """
    return 120.0 + 1.0 * max_tokens


class ReplicaClient:
    """One replica. Use as an async context manager; safe for any number of requests at once."""

    def __init__(self, endpoint: Endpoint, *, api_key: str = "") -> None:
        self.endpoint = endpoint
        self._control: dict[str, bool] = {}  # texts that its tokenizer reads as one token
        self._http = httpx.AsyncClient(
            base_url=endpoint.url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            timeout=httpx.Timeout(None, connect=CONNECT_S),  # reading is bounded by the deadline
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=64, keepalive_expiry=3.0
            ),
            # A proxy for the outer world must not catch requests to this machine.
            trust_env=not is_loopback(endpoint.url),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def complete(self, request: CompletionRequest) -> list[CompletionResult]:
        """`request.n` completions. Raises InferenceError.

        Cancelling the call closes the connection, upon which vLLM drops the request.
        """
        deadline_s = request.deadline_s or deadline_for(request.sampling.max_tokens)
        messages = await self._neutral(request.model, request.messages)
        body = {**request.body(), "messages": messages, **self._template_settings()}
        if self.endpoint.stop_token_ids:
            body["stop_token_ids"] = list(self.endpoint.stop_token_ids)
        began = time.monotonic()
        raw = await self._exchange("POST", "/v1/chat/completions", deadline_s, body)
        reply = replies.decode(raw, self.endpoint)
        return replies.read_completions(reply, request, self.endpoint, time.monotonic() - began)

    async def tokenize(self, model: str, messages: Messages, *, answered: bool = False) -> Tokens:
        """A conversation after the chat template, with the start of the answer.

        answered: it ends with the assistant's answer, and no other is to begin.
        """
        said = await self._neutral(model, messages)
        asked: dict[str, Any] = {"messages": said, "add_generation_prompt": not answered}
        return await self._tokens(model, asked | self._template_settings())

    async def _neutral(self, model: str, messages: Messages) -> list[dict[str, str]]:
        """The messages without control tokens, as training reads them (formats.control_tokens)."""
        texts = [message["content"] for message in messages]
        found = candidates(texts)
        if new := [text for text in found if text not in self._control]:
            if len(self._control) > MOST_KNOWN:
                self._control.clear()
            try:
                read = set((await self._tokens(model, {"prompt": "\n".join(new)})).texts)
            except InferenceError as error:
                if not error.permanent:
                    raise
                # A proxy may keep /tokenize to itself: what is well known then has to do.
                read = set(likely(new))
            self._control |= {text: text in read for text in new}
        return neutral_messages(messages, {text for text in found if self._control.get(text)})

    async def _tokens(self, model: str, asked: dict[str, Any]) -> Tokens:
        body = {
            "model": model,
            "return_token_strs": True,
            # Without what begins a text; chat templates write it themselves.
            "add_special_tokens": False,
            **asked,
        }
        raw = await self._exchange("POST", "/tokenize", TOKENIZE_S, body)
        return replies.read_tokens(replies.decode(raw, self.endpoint), self.endpoint)

    def _template_settings(self) -> dict[str, Any]:
        kwargs = self.endpoint.chat_template_kwargs
        return {"chat_template_kwargs": dict(kwargs)} if kwargs else {}

    async def check_health(self) -> None:
        """Returns when the engine lives. Raises InferenceError."""
        await self._exchange("GET", "/health", PROBE_S)

    async def models(self) -> list[ModelCard]:
        """The names the replica serves now, aliases and adapters included."""
        raw = await self._exchange("GET", "/v1/models", PROBE_S)
        return replies.read_models(replies.decode(raw, self.endpoint), self.endpoint)

    async def load_adapter(self, name: str, folder: str) -> None:
        """Serve the adapter in `folder` (as the replica sees it) under `name`."""
        body = {"lora_name": name, "lora_path": folder}
        await self._exchange("POST", "/v1/load_lora_adapter", LOAD_S, body)

    async def unload_adapter(self, name: str) -> None:
        await self._exchange("POST", "/v1/unload_lora_adapter", LOAD_S, {"lora_name": name})

    async def metrics(self) -> str:
        """Prometheus text; empty where the server (or a proxy before it) does not show it."""
        try:
            return (await self._exchange("GET", "/metrics", PROBE_S)).decode(errors="replace")
        except InferenceError as error:
            if error.permanent:
                return ""
            raise

    async def _exchange(self, method: str, path: str, deadline_s: float, body: Any = None) -> bytes:
        content = None if body is None else orjson.dumps(body)
        headers = {"Accept-Encoding": "identity"} | (
            {"Content-Type": "application/json"} if content else {}
        )
        try:
            async with asyncio.timeout(deadline_s):
                async with self._http.stream(
                    method, path, content=content, headers=headers
                ) as response:
                    raw = await self._read(response)
        except TimeoutError as error:
            raise refusals.timeout(
                self.endpoint, f"{method} {path}: no whole answer in {deadline_s:g} s"
            ) from error
        except httpx.TransportError as error:
            raise refusals.unreachable(self.endpoint, f"{method} {path}: {error!r}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise replies.bad(self.endpoint, f"{method} {path}: {error!r}") from error
        if response.status_code != 200:
            raise refusals.of_status(self.endpoint, response.status_code, raw)
        return raw

    async def _read(self, response: httpx.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > MAX_BODY:
                raise replies.bad(self.endpoint, f"more than {MAX_BODY} bytes")
            parts.append(part)
        return b"".join(parts)


def is_loopback(url: str) -> bool:
    return httpx.URL(url).host in LOOPBACK
