import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from annotate.exchange import rankings
from annotate.exchange.groups import TaskGroup
from annotate.exchange.rankings import jsonl_rankings, parquet_rankings
from tests.exchange.sample import HOSTILE, many, two_labelers

Row = dict[str, object]
RowsOf = Callable[[Iterable[TaskGroup]], list[Row]]


def jsonl_rows(groups: Iterable[TaskGroup]) -> list[Row]:
    return [json.loads(line) for line in b"".join(jsonl_rankings(groups)).split(b"\n")[:-1]]


def parquet_rows(groups: Iterable[TaskGroup]) -> list[Row]:
    rows: list[Row] = pq.read_table(io.BytesIO(b"".join(parquet_rankings(groups)))).to_pylist()
    return rows


@pytest.mark.parametrize("rows_of", [jsonl_rows, parquet_rows])
def test_rows_worked_by_hand(rows_of: RowsOf) -> None:
    group = two_labelers()
    lena, luis = rows_of([group])

    assert list(lena) == rankings.SCHEMA.names
    completions = lena.pop("completions")
    assert isinstance(completions, list)
    assert completions[1] == {
        "id": 12,
        "text": HOSTILE,
        "model": "base@v2",
        "adapter_hash": "abc",
        "temperature": 0.2,
        "top_p": 1.0,
        "max_tokens": 64,
        "finish_reason": "length",
        "tokens": 64,
        "logprob_sum": -1.0,
    }
    assert lena == {
        "prompt": group.messages,
        "task_id": 5,
        "prompt_id": 6,
        "external_id": "user_7",
        "documents_json": '[{"title":"T","text":"D"}]',
        "round": 3,
        "split": "train",
        "ranking_id": 1,
        "labeler": "lena",
        "created_at": "2026-03-01T12:00:00.000000+00:00",
        "revision": 1,
        "counted": True,
        "could_look": "unknown",
        "tiers": [[1], [0, 3], [2]],
        "strengths": [2, 0],
        "unacceptable": [False, False, True, False],
        "unacceptable_reasons": ["", "", "harmful", ""],
        "shown": [2, 3, 0, 1],
        "active_ms": 1500,
        "rationale": HOSTILE,
        "ratings_json": '{"helpful":[4,5,null,null]}',
        "tags_json": '["math"]',
    }
    assert (luis["tiers"], luis["strengths"]) == ([[0, 1, 2, 3]], [])
    assert (luis["counted"], luis["revision"]) == (False, 2)


def test_both_formats_have_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rankings, "ROW_GROUP_ROWS", 7)
    groups = [two_labelers(), *many(50)]

    assert parquet_rows(groups) == jsonl_rows(groups)
    file = pq.ParquetFile(io.BytesIO(b"".join(parquet_rankings(groups))))
    assert file.num_row_groups == 8


def test_nothing_to_export_is_a_readable_file() -> None:
    assert jsonl_rows([]) == parquet_rows([]) == []


@pytest.mark.parametrize("format", ["json", "parquet"])
def test_datasets_loads_a_file_whose_last_row_says_what_no_other_did(
    format: str, tmp_path: Path
) -> None:
    export = jsonl_rankings if format == "json" else parquet_rankings
    last: dict[str, Any] = {
        "rationale": "why",
        "tags": ["rare"],
        "ratings": {"helpful": {"39999": 4}},
    }
    file = tmp_path / f"rankings.{format}"
    file.write_bytes(b"".join(export(many(10_000, **last))))

    dataset = datasets.load_dataset(
        format, data_files=str(file), split="train", cache_dir=str(tmp_path)
    )

    assert len(dataset) == 10_000
    assert dataset.column_names == rankings.SCHEMA.names
    row = dataset[9_999]
    assert json.loads(row["ratings_json"]) == {"helpful": [None, None, 4, None]}
    assert json.loads(row["tags_json"]) == ["rare"]
    assert (row["tiers"], row["strengths"]) == ([[0, 1], [2], [3]], [3, 1])
