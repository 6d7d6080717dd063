"""Small pieces of bytes as chunks worth sending."""

from collections.abc import Iterable, Iterator

CHUNK_BYTES = 1 << 18

BROKEN_OFF = (
    b"\nAn error on the server broke this export off here: it is incomplete. Export it again.\n"
)


def chunked(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines to chunks of about CHUNK_BYTES; a larger one passes as it is.

    A web server ends a response that broke off like a whole one. So that nobody takes half of the
    data for all of it, the file then ends in a line that no reader of JSON lines accepts.
    """
    held: list[bytes] = []
    size = 0
    try:
        for line in lines:
            held.append(line)
            size += len(line)
            if size >= CHUNK_BYTES:
                yield b"".join(held)
                held.clear()
                size = 0
    except Exception:
        yield b"".join(held) + BROKEN_OFF
        raise
    if held:
        yield b"".join(held)
