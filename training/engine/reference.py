"""Reference log-probabilities: once for each completion, kept on disk under what they depend on.

The reference never changes during a run, and rarely between runs: its log-probabilities are
computed in a first pass over the groups, and a later run on the same base and the same completions
finds them in the file. SQLite lets several processes of one machine share it, those of runs that
begin at the same instant included.
"""

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.engine.groups import Group, Tokens
from training.engine.packing import Pack

WAIT_S = 60.0
_CREATE = "CREATE TABLE IF NOT EXISTS reference (key BLOB PRIMARY KEY, logprobs BLOB) WITHOUT ROWID"


class ReferenceCache:
    """Token log-probabilities of completions under one reference.

    identity: content hash of the reference (base, precision, adapter): another one has other keys
    in the same file.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._identity = identity.encode()
        if not path.exists():
            _make(path)
        self._connection = sqlite3.connect(path, timeout=WAIT_S)
        self._connection.execute("PRAGMA synchronous=NORMAL")

    def close(self) -> None:
        self._connection.close()

    def missing(self, groups: Sequence[Group]) -> list[int]:
        """Indices of the groups of which a completion is not known yet."""
        return [number for number, group in enumerate(groups) if not self._knows(group)]

    def put(self, packed: Pack, logprobs: Tensor) -> None:
        """Keep the (N,) log-probabilities of a pack's completion tokens."""
        values = logprobs.detach().float().cpu().numpy()
        parts = np.split(
            values, np.cumsum([len(tokens) for _, tokens in _each(packed.groups)])[:-1]
        )
        entries = [
            (self._key(prompt, tokens), part.tobytes())
            for (prompt, tokens), part in zip(_each(packed.groups), parts, strict=True)
        ]
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO reference VALUES (?, ?)", entries)

    def get(self, packed: Pack) -> Tensor:
        """The (N,) log-probabilities of a pack's completion tokens; KeyError if one is missing."""
        found = [self._one(prompt, tokens) for prompt, tokens in _each(packed.groups)]
        return torch.from_numpy(np.concatenate(found)).to(packed.ends.device)

    def _one(self, prompt: Tokens, tokens: Tokens) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        query = "SELECT logprobs FROM reference WHERE key = ?"
        row = self._connection.execute(query, (self._key(prompt, tokens),)).fetchone()
        if row is None:
            raise KeyError("a completion has no reference log-probabilities")
        return np.frombuffer(row[0], dtype=np.float32).copy()

    def _knows(self, group: Group) -> bool:
        query = "SELECT 1 FROM reference WHERE key = ?"
        with closing(self._connection.cursor()) as cursor:
            return all(
                cursor.execute(query, (self._key(group.prompt, tokens),)).fetchone()
                for tokens in group.completions
            )

    def _key(self, prompt: Tokens, tokens: Tokens) -> bytes:
        digest = hashlib.sha256(self._identity)
        for part in (prompt, tokens):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(np.asarray(part, dtype=np.int64).tobytes())
        return digest.digest()


def _make(path: Path) -> None:
    """An empty file in its final form, whole or not at all; another process's is as good.

    Of two connections that switch one file to WAL at the same instant, SQLite refuses one at once,
    however long it is told to wait. So the switch is made where nobody else can be.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        draft = Path(folder) / path.name
        with closing(sqlite3.connect(draft)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            with connection:
                connection.execute(_CREATE)
        with suppress(FileExistsError):
            path.hardlink_to(draft)


def _each(groups: Iterable[Group]) -> Iterator[tuple[Tokens, Tokens]]:
    return ((group.prompt, tokens) for group in groups for tokens in group.completions)
