"""A snapshot's rows: to look at, as Parquet, as one archive, through the library datasets."""

import io
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from annotate.exchange.archive import stream_zip
from annotate.models import AuditEvent, Prompt, Round, User
from tests import cast
from tests.api.scene import content
from tests.snapshots.conftest import Make, Rank, folder_of, read, rows
from training.models import Snapshot
from training.queries import snapshot_files
from training.snapshots.parquet import parquet_of

ADDRESS = "/api/projects/tone/snapshots/1"


@pytest.fixture
def snapshot(round_one: Round, lena: User, luis: User, rank: Rank, make: Make) -> Snapshot:
    """Two tasks to train on, ranked by two, a better answer in one of them; and a held-out task."""
    for labeler in (lena, luis):
        rank(labeler, [1], [0, 3], [2], strengths=[2, 1], unacceptable=[2], demonstration="Better.")
        rank(labeler)
        rank(labeler, demonstration="Better.")
    last = round_one.tasks.order_by("position")[2].prompt_id
    Prompt.objects.filter(pk=last).update(split="held_out")
    return make()


@pytest.mark.parametrize("kind", ["rankings", "demonstrations"])
def test_parquet_has_the_rows_of_the_lines(kind: str, ada: User, snapshot: Snapshot) -> None:
    response = cast.signed_in(ada).get(f"{ADDRESS}/files/train/{kind}.parquet")
    assert response["Content-Type"] == "application/vnd.apache.parquet"
    name = f'filename="tone-snapshot-1-train-{kind}.parquet"'
    assert response["Content-Disposition"] == f"attachment; {name}"
    table = pq.read_table(io.BytesIO(content(response)))
    assert table.to_pylist() == rows(snapshot, f"train/{kind}.jsonl")
    assert AuditEvent.objects.filter(verb="downloaded", actor=ada).count() == 1


def test_parquet_is_made_in_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"prompt": [{"role": "user", "content": "Hi"}], "completion": [], "task_id": 1}
    more = {"prompt_id": 1, "round": 1, "split": "train", "labeler": "labeler-1", "ranking": 1}
    lines = [orjson.dumps({**row, **more, "task_id": number}) for number in range(10)]
    monkeypatch.setattr("training.snapshots.parquet.ROW_GROUP_ROWS", 4)
    file = pq.ParquetFile(io.BytesIO(b"".join(parquet_of("demonstrations", lines))))
    assert file.num_row_groups == 3
    assert file.read().column("task_id").to_pylist() == list(range(10))


@pytest.mark.parametrize("name", ["train/other.parquet", "held_out/demonstrations.parquet"])
def test_there_is_no_other_parquet_file(
    name: str, ada: User, round_one: Round, lena: User, rank: Rank, make: Make
) -> None:
    rank(lena)
    make()
    assert cast.signed_in(ada).get(f"{ADDRESS}/files/{name}").status_code == 404


def test_the_archive_holds_everything(ada: User, snapshot: Snapshot) -> None:
    response = cast.signed_in(ada).get(f"{ADDRESS}/download.zip")
    assert response["Content-Disposition"] == 'attachment; filename="tone-snapshot-1.zip"'
    archive = zipfile.ZipFile(io.BytesIO(content(response)))
    assert archive.testzip() is None
    assert snapshot.manifest is not None
    stored = [*snapshot.manifest["files"], "snapshot.json"]
    parquet = [name.replace(".jsonl", ".parquet") for name in stored if name.endswith(".jsonl")]
    assert len(parquet) == 4
    folder = "tone-snapshot-1"
    assert sorted(archive.namelist()) == sorted(f"{folder}/{each}" for each in stored + parquet)
    for name in stored:
        assert archive.read(f"{folder}/{name}") == read(snapshot, name)
    (event,) = AuditEvent.objects.filter(verb="downloaded", actor=ada)
    assert event.detail == {"file": "download.zip"}


def test_a_lost_snapshot_is_said_before_the_first_byte(ada: User, snapshot: Snapshot) -> None:
    (folder_of(snapshot) / "snapshot.json").unlink()
    response = cast.signed_in(ada).get(f"{ADDRESS}/download.zip")
    assert response.status_code == 409


def test_an_archive_that_breaks_off_cannot_be_opened() -> None:
    def broken() -> Any:
        yield b"half"
        raise OSError("gone")

    pieces = stream_zip([("a", [b"whole"]), ("b", broken())])
    found = []
    with pytest.raises(OSError, match="gone"):
        found += list(pieces)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(found)))


def test_the_library_datasets_reads_both(ada: User, snapshot: Snapshot, tmp_path: Path) -> None:
    client = cast.signed_in(ada)
    zipfile.ZipFile(io.BytesIO(content(client.get(f"{ADDRESS}/download.zip")))).extractall(tmp_path)
    detail = client.get(ADDRESS).json()
    folder = "tone-snapshot-1"
    assert detail["load_dataset"] == [
        f'load_dataset("{folder}", "rankings")',
        f'load_dataset("{folder}", "demonstrations")',
    ]
    cache = str(tmp_path / "cache")
    for kind in ("rankings", "demonstrations"):
        lines = load_dataset(str(tmp_path / folder), kind, cache_dir=cache)
        assert set(lines) == {"train", "held_out"}
        files = {
            side: str(tmp_path / folder / f"{side}/{kind}.parquet")
            for side in ("train", "held_out")
        }
        tables = load_dataset("parquet", data_files=files, cache_dir=cache)
        for side in files:
            assert lines[side].to_list() == tables[side].to_list()
            assert lines[side].to_list() == rows(snapshot, f"{side}/{kind}.jsonl")


def test_rows_to_look_at(ada: User, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    client = cast.signed_in(ada)
    every = rows(snapshot)
    assert client.get(f"{ADDRESS}/rows").json() == {"rows": every, "more": False}
    assert client.get(f"{ADDRESS}/rows?limit=1").json() == {"rows": every[:1], "more": True}
    held = client.get(f"{ADDRESS}/rows?side=held_out&kind=demonstrations").json()
    assert held["rows"] == rows(snapshot, "held_out/demonstrations.jsonl")
    for query in ("side=test", "kind=pairs"):
        assert client.get(f"{ADDRESS}/rows?{query}").status_code == 400
    monkeypatch.setattr(snapshot_files, "PREVIEW_BYTES", 10)
    assert client.get(f"{ADDRESS}/rows").json() == {"rows": [], "more": True}


def test_a_side_with_nothing_has_no_rows(
    ada: User, round_one: Round, lena: User, rank: Rank, make: Make
) -> None:
    rank(lena)
    make()
    found = cast.signed_in(ada).get(f"{ADDRESS}/rows?side=held_out").json()
    assert found == {"rows": [], "more": False}


def test_what_is_not_ready_has_no_content(
    ada: User, round_one: Round, lena: User, rank: Rank
) -> None:
    rank(lena)
    client = cast.signed_in(ada)
    client.post("/api/projects/tone/snapshots", {}, format="json")
    for part in ("rows", "download.zip", "files/train/rankings.parquet"):
        assert client.get(f"{ADDRESS}/{part}").status_code == 404
