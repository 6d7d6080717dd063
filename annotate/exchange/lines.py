"""Text of unknown encoding as numbered lines, in constant memory whatever the file holds."""

import codecs
import io
import itertools
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple, TextIO

CHUNK = 1 << 16

# What people send by mistake, by its first bytes.
_NOT_TEXT = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; save the sheet as CSV (UTF-8)",
    b"\x1f\x8b": "compressed with gzip; unpack it first",
    b"PAR1": "a Parquet file; write it as JSONL first",
    b"%PDF": "a PDF",
    b"\xff\xfe\x00\x00": "encoded as UTF-32; save it as UTF-8",
    b"\x00\x00\xfe\xff": "encoded as UTF-32; save it as UTF-8",
}


class NotText(ValueError):
    """The file as a whole cannot be read as lines of text; the message says what to do."""


class Line(NamedTuple):
    """One line without its line end; where `reason` says that it is unreadable, text is its start.

    end: the line end as it stood in the file ("" at the end of the file).
    open_quote: the line has an odd number of double quotes (only counted when unreadable).
    """

    number: int
    text: str
    end: str
    reason: str = ""
    open_quote: bool = False


def read_lines(source: BinaryIO | TextIO | bytes | str, limit: int) -> Iterator[Line]:
    r"""Yield every line, split at \n, \r\n and \r. Lines over `limit` bytes come unreadable.

    UTF-8 with or without a byte order mark, UTF-16 with one. Raises NotText for anything that is
    no such text from its first bytes; a wrong byte further on makes only its line unreadable.
    """
    chunks = _chunks(source)
    first = b""
    for chunk in chunks:
        first += chunk
        if len(first) >= 4:
            break
    first, encoding = _recognized(first)
    whole: Iterable[bytes] = itertools.chain([first], chunks)
    if encoding == "utf-8" and not isinstance(source, str | io.TextIOBase):
        return _lines(whole, limit, errors="strict")
    # Lone surrogates pass here: what reads the line refuses them, and says so.
    if encoding != "utf-8":
        whole = _transcoded(whole, encoding)
    return _lines(whole, limit, errors="surrogatepass")


def _chunks(source: BinaryIO | TextIO | bytes | str) -> Iterator[bytes]:
    if isinstance(source, str | bytes):
        for start in range(0, len(source), CHUNK):
            yield _as_bytes(source[start : start + CHUNK])
        return
    while chunk := source.read(CHUNK):
        yield _as_bytes(chunk)


def _as_bytes(chunk: str | bytes) -> bytes:
    return chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else bytes(chunk)


def _recognized(first: bytes) -> tuple[bytes, str]:
    for start, what in _NOT_TEXT.items():
        if first.startswith(start):
            raise NotText(f"This file is {what}.")
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if first.startswith(mark):
            return first[len(mark) :], encoding
    if b"\x00" in first[:2]:
        raise NotText("This file looks like UTF-16 without a byte order mark. Save it as UTF-8.")
    return first, "utf-8"


def _transcoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    pending = decoder.getstate()[0]
    if pending:
        # A character cut in half at the end: a byte that UTF-8 never has makes its line unreadable.
        yield b"\xff"


def _lines(chunks: Iterable[bytes], limit: int, errors: str) -> Iterator[Line]:
    number = 1
    held = b""
    overlong: _Overlong | None = None
    for chunk in chunks:
        pieces = (held + chunk).splitlines(keepends=True)
        # The last piece may go on in the next chunk; after \r the \n may still come.
        held = pieces.pop() if pieces and not pieces[-1].endswith(b"\n") else b""
        for piece in pieces:
            if overlong:
                overlong.take(piece)
                yield overlong.line(number)
                overlong = None
            else:
                yield _line(number, piece, limit, errors)
            number += 1
        if not held.endswith(b"\r") and (overlong or len(held) > limit):
            overlong = overlong or _Overlong(limit)
            overlong.take(held)
            held = b""
    if overlong:
        overlong.take(held)
        yield overlong.line(number)
    elif held:
        yield _line(number, held, limit, errors)


class _Overlong:
    """A line that is only counted, not kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.start = b""
        self.quotes = 0

    def take(self, piece: bytes) -> None:
        self.start = self.start or piece[:400]
        self.quotes += piece.count(b'"')

    def line(self, number: int) -> Line:
        return Line(
            number,
            self.start.decode("utf-8", "replace"),
            "\n",
            f"The line is longer than {self.limit:,} bytes. Split the prompt, or shorten it.",
            self.quotes % 2 == 1,
        )


def _line(number: int, piece: bytes, limit: int, errors: str) -> Line:
    body = piece.rstrip(b"\r\n")
    if len(body) > limit:
        overlong = _Overlong(limit)
        overlong.take(body)
        return overlong.line(number)
    try:
        text = body.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        return Line(
            number,
            body[:400].decode("utf-8", "replace"),
            "\n",
            f"Byte {error.start + 1} of the line (0x{body[error.start]:02X}) is not UTF-8. "
            "Save the file as UTF-8 and import it again.",
            body.count(b'"') % 2 == 1,
        )
    return Line(number, text, piece[len(body) :].decode("ascii"))
