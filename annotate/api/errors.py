"""Every error leaves in one envelope that says what to do and whether trying again helps."""

import logging
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DataError, InterfaceError, OperationalError, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from redis import RedisError
from rest_framework import exceptions
from rest_framework.response import Response

from annotate.environment import without_secrets
from annotate.errors import Refusal, TooLarge
from formats.echo import echo

log = logging.getLogger(__name__)

RETRY_AFTER_S = "2"
# Also of a server that is there and refuses: no memory, no disk, no answer in time.
AWAY = (OperationalError, InterfaceError, RedisError)
LONGEST, LONGEST_FIELD = 2000, 200  # characters of a message, of a field's name or fault
_UNAVAILABLE = "The server is restarting. Try again in a moment."
_SENTENCES = {
    401: "Sign in first.",
    403: "You may not do this.",
    404: "There is nothing here that you have access to.",
    405: "This address does not take that kind of request.",
}


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: the response to an exception, or None to let it become a 500."""
    if isinstance(exc, Refusal):
        return _refused(exc)
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    if isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    if isinstance(exc, AWAY):
        return _unavailable(exc)
    if isinstance(exc, RequestDataTooBig):
        return _refused(TooLarge(settings.DATA_UPLOAD_MAX_MEMORY_SIZE))
    if isinstance(exc, UnreadablePostError):
        return _broken_off(exc)
    if isinstance(exc, DataError):
        return _unstorable(exc)
    if isinstance(exc, exceptions.APIException):
        return _of_rest_framework(exc)
    return None


def _refused(exc: Refusal) -> Response:
    response = _envelope(
        exc.status,
        exc.error_code,
        exc.message,
        retry=exc.retry,
        fields=exc.fields,
        facts=exc.facts,
    )
    if exc.status == 503:
        response["Retry-After"] = RETRY_AFTER_S
    return response


def _let_go(exc: BaseException) -> None:
    log.error("the database or the cache is away: %s", exc)
    if not isinstance(exc, RedisError):
        connection.close()


def _unavailable(exc: Exception) -> Response:
    _let_go(exc)
    response = _envelope(503, "unavailable", _UNAVAILABLE, retry=True)
    response["Retry-After"] = RETRY_AFTER_S
    return response


def _broken_off(exc: Exception) -> Response:
    """An upload that stopped coming; whoever sent it may have gone."""
    log.info("the rest of a request did not come: %s", exc)
    message = "The request did not arrive whole. Check the connection and try again."
    return _envelope(408, "too_slow", message, retry=True)


def _unstorable(exc: DataError) -> Response:
    """A text with a NUL or a number out of all bounds got as far as the database."""
    log.warning("refused by the database: %s", exc)
    return _envelope(
        400,
        "invalid",
        "The request contains what cannot be stored: a NUL character, or too large a number. "
        "Remove it.",
    )


def _of_rest_framework(exc: exceptions.APIException) -> Response:
    status = exc.status_code
    if isinstance(exc, exceptions.ValidationError):
        fields = dict(_flatten(exc.detail))
        first = next(iter(fields.items()), ("", ["The request is not valid."]))
        name = f"{first[0]}: " if first[0] not in ("", "non_field_errors") else ""
        return _envelope(400, "invalid", f"{name}{first[1][0]}", fields=fields)
    if isinstance(exc, exceptions.PermissionDenied) and "CSRF" in str(exc.detail):
        return _envelope(
            403, "csrf_failed", "This page is out of date. Reload it and try again.", retry=True
        )
    response = _envelope(
        status,
        str(exc.default_code),
        _SENTENCES.get(status) or str(exc.detail),
        retry=status == 429,
    )
    if isinstance(exc, exceptions.Throttled):
        response["Retry-After"] = str(int(getattr(exc, "wait", None) or 1))
    challenge = getattr(exc, "auth_header", None)
    if challenge:
        response["WWW-Authenticate"] = challenge
    return response


def _flatten(detail: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flatten(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(detail, list) and any(isinstance(each, dict | list) for each in detail):
        for index, inner in enumerate(detail):
            yield from _flatten(inner, f"{path}.{index}" if path else str(index))
    elif isinstance(detail, list):
        yield path, [str(each) for each in detail]
    else:
        yield path, [str(detail)]


def _envelope(
    status: int,
    code: str,
    message: str,
    *,
    retry: bool = False,
    fields: dict[str, list[str]] | None = None,
    facts: Mapping[str, int | str] | None = None,
) -> Response:
    # Both repeat what was sent: keys of an object, choices that are none.
    named = {
        echo(name, LONGEST_FIELD): [echo(each, LONGEST_FIELD) for each in faults]
        for name, faults in (fields or {}).items()
    }
    error = {
        "code": code,
        "message": without_secrets(echo(message, LONGEST)),
        "retry": retry,
        "fields": named,
        **(facts or {}),
    }
    return Response({"error": error}, status=status)


def not_found(request: HttpRequest) -> HttpResponse:
    """An address below /api/ that does not exist."""
    return of_address(request.path, 404, "not_found", _SENTENCES[404])


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What Django refuses by itself: a body over the bound, a host that is not ours."""
    if isinstance(exception, RequestDataTooBig):
        return too_large(request.path, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    return of_address(request.path, 400, "invalid", "The server does not take this request.")


def server_error(request: HttpRequest) -> HttpResponse:
    """What went wrong outside of the API's views, or is a mistake of ours.

    Django calls it while it handles the exception. The log has the detail, the person a sentence.
    """
    status, code = 500, "server_error"
    message = "Something went wrong on the server. It has been logged; try again."
    if isinstance(problem := sys.exception(), AWAY):
        _let_go(problem)
        status, code, message = 503, "unavailable", _UNAVAILABLE
    return of_address(request.path, status, code, message, retry=True)


def too_large(path: str, largest: int) -> HttpResponse:
    """largest: bytes that are taken there."""
    said = TooLarge(largest)
    return of_address(path, said.status, said.code, said.message)


def of_address(
    path: str, status: int, code: str, message: str, *, retry: bool = False
) -> HttpResponse:
    """What did not get as far as a view, in the form of its address: the envelope, or a text."""
    headers = {"Cache-Control": "no-store"}
    if retry:
        headers["Retry-After"] = RETRY_AFTER_S
    if not path.startswith("/api/"):
        text = "text/plain; charset=utf-8"
        return HttpResponse(message, status=status, content_type=text, headers=headers)
    error = {"code": code, "message": message, "retry": retry, "fields": {}}
    return JsonResponse({"error": error}, status=status, headers=headers)
