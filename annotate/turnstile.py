"""A few requests at a time: what more threads would do is wait for each other's interpreter lock.

A worker has threads to spare for slow senders and long downloads, but Python runs one of them at
a time, and many that compete make every answer late. So a request waits here until one of a few
places is free. Its body is read before, and a streamed answer is sent after, so that a slow line
holds no place.
"""

import threading
from collections import deque
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

PLACES = 4
# Larger bodies are file uploads, which are read as they come.
SMALL_BODY = 1024 * 1024


class Turnstile:
    """A semaphore that serves in the order of arrival, as Python's does not: nobody starves."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def __exit__(self, *_: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


_places = Turnstile(PLACES)


def turnstile(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware that lets PLACES requests of a process be worked on at a time."""

    def middleware(request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdigit() or int(length) > SMALL_BODY:
            return get_response(request)
        _ = request.body
        with _places:
            return get_response(request)

    return middleware
