"""What can go wrong between Prefloop and an inference server, and whether trying again helps."""

from typing import Literal

Code = Literal[
    "unreachable",  # nothing answers at the address, or the connection broke
    "overloaded",  # 429 or 503: the server is there and says "later"
    "timeout",  # no complete answer within the deadline
    "server_error",  # another 5xx
    "bad_response",  # an answer that no healthy vLLM gives
    "no_replica",  # no replica that may be used serves the model just now
    "unknown_model",  # the server does not serve this name
    "context_length",  # prompt (and answer) do not fit the model
    "refused",  # any other 4xx: the request itself is wrong
    "unauthorized",  # the API key was not accepted
]

AWAY: frozenset[Code] = frozenset({"unreachable", "overloaded", "no_replica"})
REPLICA_AT_FAULT: frozenset[Code] = frozenset({"unknown_model", "unauthorized"})


class InferenceError(Exception):
    """A request that brought no usable completion.

    permanent: the same request will fail again however often it is sent.
    summary: one sentence for people, says what to do. detail: for the log.
    """

    def __init__(
        self, code: Code, summary: str, *, detail: str = "", permanent: bool = False
    ) -> None:
        super().__init__(f"{summary} ({detail})" if detail else summary)
        self.code: Code = code
        self.summary = summary
        self.detail = detail
        self.permanent = permanent

    @property
    def replica_is_away(self) -> bool:
        """True when all there is to do is wait: such a failure should not count as an attempt."""
        return self.code in AWAY


class NoReplica(InferenceError):
    """No replica that passed its self-test serves the model at the moment; one may later."""

    def __init__(self, model: str, reason: str = "") -> None:
        summary = f'No inference server is ready to answer as "{model}"'
        super().__init__("no_replica", f"{summary}: {reason}" if reason else f"{summary} yet.")


class SwapRefused(Exception):
    """An adapter that is not served now; what was served before still is.

    permanent: the same call will be refused again. str() is for people and says what to do.
    """

    def __init__(self, summary: str, *, permanent: bool = False) -> None:
        super().__init__(summary)
        self.summary = summary
        self.permanent = permanent
