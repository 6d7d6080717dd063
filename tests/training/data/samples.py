"""Data files of the tests, and what they are loaded with."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tests.training.tiny import tiny_tokenizer
from training.engine.data import Preferences, load_preferences
from training.engine.groups import Group, Tokens
from training.engine.spec import Data, Method

Row = dict[str, Any]
TOKENIZER = tiny_tokenizer()


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def pair(number: int = 0, **columns: Any) -> Row:
    row = {"prompt": user(f"Q{number}"), "chosen": answer("good"), "rejected": answer("bad")}
    return {**row, **columns}


def ranking(number: int = 0, **columns: Any) -> Row:
    """Three completions, c > a = b, clearly."""
    row = {
        "prompt": user(f"Q{number}"),
        "completions": [{"text": text, "finish_reason": "stop"} for text in ("a", "b", "c")],
        "tiers": [[2], [0, 1]],
        "strengths": [2],
        "unacceptable": [False, False, False],
        "documents_json": "[]",
        "split": "train",
    }
    return {**row, **columns}


def write(path: Path, rows: Sequence[Any]) -> str:
    """Rows in the format that the suffix says; bytes among them are lines as they are."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return str(path)
    lines = b"".join((row if isinstance(row, bytes) else orjson.dumps(row)) + b"\n" for row in rows)
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return str(path)


def load(method: Method = Method.REWARD, *, margins: bool = True, **data: Any) -> Preferences:
    """Everything is for training unless `held_out_fraction` is given."""
    settings = Data(**{"held_out_fraction": 0.0, **data})
    return load_preferences(settings, TOKENIZER, method=method, margins=margins)


def load_pairs(folder: Path, *rows: Any, **data: Any) -> Preferences:
    return load(pairs=(write(folder / "pairs.jsonl", rows),), **data)


def load_rankings(folder: Path, *rows: Any, **data: Any) -> Preferences:
    return load(rankings=(write(folder / "rankings.jsonl", rows),), **data)


def text(tokens: Tokens) -> str:
    return str(TOKENIZER.decode(list(tokens)))


def texts(group: Group) -> tuple[str, list[str]]:
    return text(group.prompt), [text(one) for one in group.completions]


def chatml(*turns: tuple[str, str]) -> str:
    """The prompt of the turns, as the tiny tokenizer's template renders it."""
    said = (
        turns if turns[0][0] == "system" else (("system", "You are a helpful assistant."), *turns)
    )
    whole = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in said)
    return whole + "<|im_start|>assistant\n"


def dropped(found: Preferences) -> dict[str, int]:
    return {one.reason: one.count for one in found.report.dropped}
