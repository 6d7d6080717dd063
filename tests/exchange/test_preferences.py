import io
import json
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from annotate.exchange import preferences
from annotate.exchange.groups import ExportedCompletion, TaskGroup
from annotate.exchange.preferences import jsonl_preferences, parquet_preferences
from annotate.ranking import Judgment
from tests.exchange.sample import HOSTILE, many, ranking_of, two_labelers

Export = Callable[[Iterable[TaskGroup]], Iterator[bytes]]
Row = dict[str, object]


def jsonl_rows(groups: Iterable[TaskGroup]) -> list[Row]:
    return [json.loads(line) for line in b"".join(jsonl_preferences(groups)).split(b"\n")[:-1]]


def parquet_rows(groups: Iterable[TaskGroup]) -> list[Row]:
    rows: list[Row] = pq.read_table(io.BytesIO(b"".join(parquet_preferences(groups)))).to_pylist()
    return rows


@pytest.fixture(params=[jsonl_rows, parquet_rows])
def rows_of(request: pytest.FixtureRequest) -> Callable[[Iterable[TaskGroup]], list[Row]]:
    rows: Callable[[Iterable[TaskGroup]], list[Row]] = request.param
    return rows


def test_a_row_worked_by_hand(rows_of: Callable[[Iterable[TaskGroup]], list[Row]]) -> None:
    first = rows_of([two_labelers()])[0]

    assert first == {
        "prompt": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": HOSTILE},
        ],
        "chosen": [{"role": "assistant", "content": HOSTILE}],
        "rejected": [{"role": "assistant", "content": "Red, green and blue."}],
        "chosen_id": 12,
        "chosen_model": "base@v2",
        "chosen_cut_off": True,
        "rejected_id": 11,
        "rejected_model": "base",
        "rejected_cut_off": False,
        "round": 3,
        "split": "train",
        "ranking_id": 1,
        "labeler": "lena",
        "comparison_id": 100,
        "strength": 2,
        "chosen_unacceptable": False,
        "rejected_unacceptable": False,
    }
    assert list(first) == preferences.SCHEMA.names


def test_ties_are_no_preferences(rows_of: Callable[[Iterable[TaskGroup]], list[Row]]) -> None:
    rows = rows_of([two_labelers()])

    said = [(row["chosen_id"], row["rejected_id"], row["strength"]) for row in rows]
    assert said == [(12, 11, 2), (12, 14, 2), (12, 13, 0), (11, 13, 0), (14, 13, 0)]
    assert [row["rejected_unacceptable"] for row in rows] == [False, False, True, True, True]
    assert {row["labeler"] for row in rows} == {"lena"}


def test_an_answer_that_was_cut_off_says_so_on_either_side(
    rows_of: Callable[[Iterable[TaskGroup]], list[Row]],
) -> None:
    group = TaskGroup(
        1,
        1,
        "",
        1,
        "train",
        [{"role": "user", "content": "Sky?"}],
        [
            ExportedCompletion(7, "Blue.", "base", finish_reason="stop"),
            ExportedCompletion(8, "The colour of the", "base", finish_reason="length"),
            ExportedCompletion(9, "", "base"),
        ],
        [ranking_of(1, "lena", Judgment(((7,), (8,), (9,))))],
    )

    rows = rows_of([group])

    assert [
        (row["chosen_id"], row["chosen_cut_off"], row["rejected_id"], row["rejected_cut_off"])
        for row in rows
    ] == [(7, False, 8, True), (7, False, 9, False), (8, True, 9, False)]


def test_both_formats_have_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preferences, "ROW_GROUP_ROWS", 100)
    groups = [two_labelers(), *many(200)]

    rows = jsonl_rows(groups)
    assert len(rows) == 5 + 200 * 5
    assert parquet_rows(groups) == rows


def test_row_groups_are_bounded_by_rows_and_by_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preferences, "ROW_GROUP_ROWS", 50)
    file = pq.ParquetFile(io.BytesIO(b"".join(parquet_preferences(many(100)))))
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [50] * 10

    monkeypatch.setattr(preferences, "ROW_GROUP_CHARACTERS", 100_000)
    file = pq.ParquetFile(io.BytesIO(b"".join(parquet_preferences(many(100, text="x" * 10_000)))))
    assert file.num_row_groups == 100


def test_texts_are_stored_once_a_row_group() -> None:
    size = sum(map(len, parquet_preferences(many(500, text="x" * 2000))))
    assert size < 500 * 5 * 3 * 2000 / 20


@pytest.mark.parametrize("groups", [[], [TaskGroup(1, 1, "", 1, "train", [], [], [])]])
def test_nothing_to_export_is_a_readable_file(groups: list[TaskGroup]) -> None:
    assert jsonl_rows(groups) == []
    table = pq.read_table(io.BytesIO(b"".join(parquet_preferences(groups))))
    assert table.num_rows == 0
    assert table.schema.names == preferences.SCHEMA.names


@pytest.mark.parametrize("export", [jsonl_preferences, parquet_preferences])
def test_memory_is_flat(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preferences, "ROW_GROUP_ROWS", 1000)

    def peak(tasks: int) -> int:
        tracemalloc.start()
        for _ in export(many(tasks)):
            pass
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(300)
    assert peak(4000) < peak(400) * 1.2 + 200_000


def test_json_lines_come_in_chunks_worth_sending() -> None:
    sizes = [len(chunk) for chunk in jsonl_preferences(many(2000))]
    assert min(sizes[:-1]) >= 1 << 18
    assert max(sizes) < 1 << 19


@pytest.mark.parametrize("format", ["json", "parquet"])
def test_datasets_loads_a_file_whose_last_row_says_what_no_other_did(
    format: str, tmp_path: Path
) -> None:
    # `datasets` takes a column's type from the first ten megabytes of JSONL.
    export = jsonl_preferences if format == "json" else parquet_preferences
    file = tmp_path / f"preferences.{format}"
    file.write_bytes(b"".join(export(many(5000))))

    dataset = datasets.load_dataset(
        format, data_files=str(file), split="train", cache_dir=str(tmp_path)
    )

    assert len(dataset) == 25_000
    assert dataset.column_names == preferences.SCHEMA.names
    assert dataset[0]["strength"] == 0
    assert [row["strength"] for row in dataset.select(range(24_995, 25_000))] == [3, 3, 3, 3, 1]
    assert dataset.features["prompt"] == dataset.features["chosen"]
