"""Which error an HTTP status or a broken connection means, and what a person can do about it."""

import orjson

from inference.completions import Endpoint
from inference.errors import InferenceError

CONTEXT_SIGNS = ("maximum context length", "max_model_len", "maximum model length")
MAX_DETAIL = 500


def unreachable(endpoint: Endpoint, detail: str) -> InferenceError:
    return InferenceError(
        "unreachable",
        f"The inference server {endpoint.name} cannot be reached or broke off; it is tried again.",
        detail=detail,
    )


def timeout(endpoint: Endpoint, detail: str) -> InferenceError:
    return InferenceError(
        "timeout",
        f"The inference server {endpoint.name} did not answer in time; it is tried again.",
        detail=detail,
    )


def of_status(endpoint: Endpoint, status: int, raw: bytes) -> InferenceError:
    """The error behind a status other than 200. `raw` is the body, whatever it holds."""
    said = message_of(raw)
    detail = f"HTTP {status}: {said}"
    if status in (401, 403):
        return InferenceError(
            "unauthorized",
            f"The inference server {endpoint.name} did not accept the API key. "
            "Set INFERENCE_API_KEY to the key that server was started with.",
            detail=detail,
            permanent=True,
        )
    if status == 404 and "model" in said:
        return InferenceError(
            "unknown_model",
            f"The inference server {endpoint.name} does not serve this model. "
            "Load it there or choose another.",
            detail=detail,
            permanent=True,
        )
    if status in (429, 503):
        return InferenceError(
            "overloaded",
            f"The inference server {endpoint.name} is busy or going down; it is tried again.",
            detail=detail,
        )
    if status == 408:
        return timeout(endpoint, detail)
    if status == 501 or (status < 500 and "not JSON compliant" not in said):
        return _refused(endpoint, status, said, detail)
    # vLLM answers 400 "not JSON compliant" when the model produced NaN: not the request's fault.
    return InferenceError(
        "server_error",
        f"The inference server {endpoint.name} failed at this request; it is tried again. "
        "Its log says why.",
        detail=detail,
    )


def _refused(endpoint: Endpoint, status: int, said: str, detail: str) -> InferenceError:
    if any(sign in said for sign in CONTEXT_SIGNS):
        return InferenceError(
            "context_length",
            "The prompt and the answer asked for are longer than the model's context. "
            "Shorten the prompt, ask for fewer tokens, or serve a model with a longer context.",
            detail=detail,
            permanent=True,
        )
    if status in (301, 302, 307, 308, 404, 405):
        summary = (
            f"There is no vLLM at the address of {endpoint.name}. "
            "Set INFERENCE_URL to the server's root, without /v1."
        )
    else:
        summary = f"The inference server {endpoint.name} refused the request: {said[:200]}"
    return InferenceError("refused", summary, detail=detail, permanent=True)


def message_of(raw: bytes) -> str:
    """The message in an error body of vLLM, FastAPI or a proxy, cut to fit a log line."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _printable(raw.decode(errors="replace"))
    error = body.get("error", body.get("detail", body)) if isinstance(body, dict) else body
    message = error.get("message", error) if isinstance(error, dict) else error
    return _printable(str(message))


def _printable(text: str) -> str:
    return " ".join(text.replace("\x00", " ").split())[:MAX_DETAIL]
