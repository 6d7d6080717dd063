"""Small pieces of bytes as chunks worth sending."""

from collections.abc import Iterable, Iterator

CHUNK_BYTES = 1 << 17


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join pieces to chunks of about CHUNK_BYTES; a larger piece passes as it is."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= CHUNK_BYTES:
            yield b"".join(held)
            held.clear()
            size = 0
    if held:
        yield b"".join(held)
