"""Files as they come: compressed, broken off, in other encodings, with garbage between the rows."""

import gzip
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.data.samples import (
    TOKENIZER,
    answer,
    dropped,
    load,
    load_pairs,
    pair,
    ranking,
    user,
    write,
)
from training.engine.data import load_text, preferences, rows, sources
from training.engine.data.demonstration_rows import CONVERSATIONS, DEMONSTRATIONS
from training.engine.data.pairs import PAIRS
from training.engine.data.rankings import RANKINGS
from training.engine.data.report import Refused
from training.engine.data.rows import NOT_AN_OBJECT, NOT_JSON, NOT_TEXT, TOO_LONG, Row
from training.engine.data.unpaired import UNPAIRED
from training.engine.errors import DataError
from training.engine.spec import Data, Method

LONG = 1 << 14


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "parquet", "data"])
def test_the_same_rows_from_every_kind_of_file(suffix: str, tmp_path: Path) -> None:
    rankings = write(tmp_path / f"r.{suffix}", [ranking(1), ranking(2)])
    pairs = write(tmp_path / f"p.{suffix}", [pair(3), pair(4, strength=None)])

    found = load(rankings=(rankings,), pairs=(pairs,))

    assert [group.key for group in found.train] == [
        f"r.{suffix}:1",
        f"r.{suffix}:2",
        f"p.{suffix}:1",
        f"p.{suffix}:2",
    ]
    assert found.report.dropped == ()
    assert [group.completions for group in found.train] == [
        group.completions
        for group in load(
            rankings=(write(tmp_path / "plain.jsonl", [ranking(1), ranking(2)]),),
            pairs=(write(tmp_path / "plain2.jsonl", [pair(3), pair(4)]),),
        ).train
    ]


def test_garbage_between_rows_is_counted_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "LINE_BYTES", LONG)
    garbage = [
        b"\xef\xbb\xbf" + orjson.dumps(pair(1)),
        b"",
        b"not json",
        b'{"prompt": "Q", "chosen": "a", "rejected": ',
        '{"prompt": "Grüße"}'.encode("latin-1"),
        b'{"prompt": "\\ud800", "chosen": "a", "rejected": "b"}',
        b'{"prompt": NaN}',
        b"[" * 5000,
        b"[1]",
        b"null",
        b"{" + b" " * (3 * LONG) + b"}",
        b"\x00",
        b"  \t ",
        orjson.dumps(pair(2)) + b"\r",
        b"{" + b" " * (3 * LONG),
    ]
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(b"\n".join(garbage))

    found = load(pairs=(str(file),))

    assert [group.key for group in found.train] == ["pairs.jsonl:1", "pairs.jsonl:14"]
    assert dropped(found) == {NOT_JSON: 7, NOT_AN_OBJECT: 2, TOO_LONG: 2}
    assert found.report.rows == 13
    examples = {one.reason: one.examples for one in found.report.dropped}
    assert [one.split(" ")[0] for one in examples[NOT_JSON]] == [
        f"pairs.jsonl:{line}" for line in (3, 4, 5, 6, 7)
    ]
    assert examples[TOO_LONG] == ("pairs.jsonl:11", "pairs.jsonl:15")
    assert found.report.to_json()["dropped"][0]["count"] == 7


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


COLUMNS = sorted(name for name in PAIRS.columns | RANKINGS.columns if "." not in name)
OTHER_TYPES: tuple[Any, ...] = (None, False, 7, 0.5, "x", [], [None], [[7]], {}, {"a": None})
PROMPTED = {"prompt": "Q", "completion": "A", "label": True}
ROWS = {
    "rankings": (RANKINGS, ranking()),
    "pairs": (PAIRS, pair()),
    "unpaired": (UNPAIRED, PROMPTED),
    "demonstrations": (DEMONSTRATIONS, PROMPTED),
    "conversations": (CONVERSATIONS, {"messages": [*user("Q"), *answer("A")]}),
}


@pytest.mark.parametrize("kind", ROWS)
def test_a_column_of_any_other_type_is_refused_in_words(kind: str) -> None:
    """Each one, and not as chance has it: a reader may look into a value before it checks it."""
    format_, row = ROWS[kind]
    assert format_.read(Row("r:1", row))
    names = sorted(name for name in format_.columns if "." not in name)
    for name, value in product(names, OTHER_TYPES):
        with suppress(Refused):
            assert format_.read(Row("r:1", {**row, name: value}))


@given(st.lists(st.binary(max_size=40) | st.tuples(st.sampled_from(COLUMNS), JSON)))
def test_no_line_crashes_and_every_line_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, damage: list[Any]
) -> None:
    lines = [
        one.replace(b"\n", b"")
        if isinstance(one, bytes)
        else {**ranking(1), **pair(1), one[0]: one[1]}
        for one in damage
    ]
    folder = tmp_path_factory.mktemp("hostile")
    names = [
        write(folder / name, [make(9), *lines])
        for name, make in (("r.jsonl", ranking), ("p.jsonl", pair))
    ]

    found = load(rankings=names[:1], pairs=names[1:])

    keys = {group.key for group in found.train}
    assert {"r.jsonl:1", "p.jsonl:1"} <= keys
    judged = sum(len(group.rankings) for group in found.train)
    unplaced = sum(one.count for one in found.report.dropped if one.unit in ("rows", "prompts"))
    assert judged + unplaced == found.report.rows


def test_a_parquet_file_with_a_text_that_is_not_utf8(tmp_path: Path) -> None:
    texts = pa.array([b"a", b"\xff", b"c"], pa.binary()).view(pa.string())
    other = pa.array(["x", "y", "z"])
    file = tmp_path / "p.parquet"
    pq.write_table(pa.table({"prompt": other, "chosen": texts, "rejected": other}), file)

    found = load(pairs=(str(file),))

    assert [group.key for group in found.train] == ["p.parquet:1", "p.parquet:3"]
    assert dropped(found) == {NOT_TEXT: 1}


def test_a_parquet_file_without_any_column_of_use(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no columns chosen and rejected"):
        load(pairs=(write(tmp_path / "p.parquet", [{"a": 1}, {"a": 2}]),))


BROKEN = {
    "cut.jsonl.gz": gzip.compress(orjson.dumps(pair()) * 100)[:-20],
    "bad.jsonl.gz": b"\x1f\x8b\x08" + b"\x00" * 100,
    "cut.parquet": b"PAR1" + b"\x00" * 100,
    "jsonl.parquet": orjson.dumps(pair()),
    "zipped.jsonl": b"PK\x03\x04" + b"\x00" * 10,
    "wide.jsonl": "﻿{}".encode("utf-16-le"),
    "empty.jsonl": b"",
    "blank.jsonl": b"\n\n \n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(DataError, match=f"{name}|the files are empty") as caught:
        load(pairs=(str(tmp_path / name),))
    assert caught.value.advice


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl is not there"):
        load(pairs=(str(tmp_path / "nowhere.jsonl"),))
    with pytest.raises(DataError, match="is a folder, not a file"):
        load(pairs=(str(tmp_path),))
    with pytest.raises(DataError, match="No data files"):
        load()


def test_a_file_given_twice_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "p.jsonl", [pair()])
    with pytest.raises(DataError, match="given twice"):
        load(pairs=(file,), evaluation_pairs=(file,))


def test_files_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    files = tuple(write(tmp_path / folder / "p.jsonl", [pair()]) for folder in "ab")

    assert [group.key for group in load(pairs=files).train] == [f"{file}:1" for file in files]


def test_the_hash_is_of_the_content_and_of_what_is_made_of_it(tmp_path: Path) -> None:
    first = load_pairs(tmp_path, pair(1), pair(2)).content_hash
    (tmp_path / "moved").mkdir()

    assert len(first) == 64
    assert load_pairs(tmp_path / "moved", pair(1), pair(2)).content_hash == first
    changed = [
        load_pairs(tmp_path, pair(2), pair(1)),
        load_pairs(tmp_path, pair(1), pair(2), ties="drop"),
        load_pairs(tmp_path, pair(1), pair(2), unacceptable="drop_winners"),
        load_pairs(tmp_path, pair(1), pair(2), max_prompt_tokens=100),
        load_pairs(tmp_path, pair(1), pair(2), max_completion_tokens=100),
        load_pairs(tmp_path, pair(1), pair(2), method=Method.DPO),
        load_pairs(tmp_path, pair(1), pair(2), held_out_fraction=1e-9),
    ]
    assert len({first, *(one.content_hash for one in changed)}) == len(changed) + 1


def test_chunks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [ranking(number % 7) for number in range(30)]
    whole = load(rankings=(write(tmp_path / "r.jsonl", lines),))
    monkeypatch.setattr(sources, "CHUNK", 4)

    assert load(rankings=(str(tmp_path / "r.jsonl"),)) == whole


def test_each_distinct_text_is_encoded_once_and_kept_once(tmp_path: Path) -> None:
    seen: list[str] = []

    class Counting(type(TOKENIZER)):  # type: ignore[misc]
        def __call__(self, texts: Any, **options: Any) -> Any:
            seen.extend(texts if isinstance(texts, list) else [texts])
            return super().__call__(texts, **options)

    counting = Counting(tokenizer_object=TOKENIZER.backend_tokenizer, eos_token="<|im_end|>")
    counting.chat_template = TOKENIZER.chat_template
    file = write(tmp_path / "p.jsonl", [pair(number % 3) for number in range(30)])

    found = preferences.load_preferences(
        Data(pairs=(file,), held_out_fraction=0.0), counting, method=Method.DPO
    )

    assert [seen.count(text) for text in ("good", "bad")] == [1, 1]
    assert len([text for text in seen if "Q1" in text]) == 1
    assert len({id(group.completions[0]) for group in found.train}) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.txt", "Grüße\nan alle".encode()),
        ("t.txt.gz", gzip.compress("﻿Grüße\nan alle".encode())),
        ("t.jsonl", orjson.dumps({"text": "Grüße\nan alle"}) + b"\n{}\nx"),
    ],
)
def test_general_text(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert load_text(tmp_path / name) == "Grüße\nan alle"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.txt", b" \n", "holds no text"),
        ("t.txt", b"ab\xff", "byte 3"),
        ("t.jsonl", b'{"text": null}', "row has no text"),
        ("t.txt.gz", gzip.compress(b"text" * 100)[:-12], "cannot be read"),
    ],
)
def test_general_text_that_is_none(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_text(str(tmp_path / name))
