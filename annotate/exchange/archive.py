"""A zip archive that is handed over while it is being written."""

from collections.abc import Iterable, Iterator
from typing import IO, cast
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from annotate.exchange.sink import Sink

QUICKLY = 1  # of zlib's levels: texts shrink to a third, and the network is what a reader waits for
UNDATED = (1980, 1, 1, 0, 0, 0)


def stream_zip(files: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield an archive of files by name, each in pieces; the same files make the same bytes.

    When reading them fails, the archive's directory is not handed over, so nothing can open it.
    """
    sink = Sink()
    archive = ZipFile(cast(IO[bytes], sink), "w")
    for name, pieces in files:
        entry = ZipInfo(name, UNDATED)
        entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o644 << 16
        entry._compresslevel = QUICKLY  # type: ignore[attr-defined]  # public from Python 3.13 on
        with archive.open(entry, "w", force_zip64=True) as file:
            for piece in pieces:
                file.write(piece)
                if data := sink.taken():
                    yield data
    archive.close()
    yield sink.taken()
