"""Ordinary text, on which perplexity tells what a model forgets."""

from pathlib import Path

from training.engine.data.files import chunks, is_parquet, located
from training.engine.data.report import Drops
from training.engine.data.rows import read_rows
from training.engine.data.sources import nothing_left
from training.engine.errors import DataError

NO_TEXT = "row has no text"


def load_text(path: str | Path) -> str:
    """The text of a file in UTF-8, or of the column `text` of JSONL or Parquet, gzip or not.

    Raises DataError when it cannot be read or holds no text.
    """
    (file,) = located([str(path)])
    if is_parquet(file) or {".jsonl", ".json", ".ndjson"} & set(file.suffixes):
        return _column(file)
    try:
        text = b"".join(chunks(file)).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not text in UTF-8 (byte {error.start + 1:,}).", advice="Save it as UTF-8."
        ) from error
    if not text.strip():
        raise DataError(f"{file} holds no text.")
    return text


def _column(file: Path) -> str:
    drops = Drops()
    texts: list[str] = []
    for row in read_rows(file, file.name, drops):
        text = row.values.get("text")
        if isinstance(text, str) and text.strip():
            texts.append(text)
        else:
            drops.add(row.where, NO_TEXT)
    if not texts:
        raise nothing_left(f"{file} holds no text", drops.report())
    return "\n\n".join(texts)
