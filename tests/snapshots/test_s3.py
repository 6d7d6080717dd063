"""Snapshots in a bucket: built, read, shown, lost, out of reach."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from moto.server import ThreadedMotoServer

from annotate import environment
from annotate.environment import BadEnvironment
from annotate.errors import Conflict
from annotate.models import Round, User
from annotate.s3 import S3Folder
from tests import cast
from tests.inference.adapter_folders import write_adapter
from tests.snapshots.conftest import Make, Rank, Settings, read, rows
from training import adapter_store
from training.models import SnapshotState

ADDRESS = "/api/projects/tone/snapshots/1"
BUCKET = "prefloop-tests"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Any:
    """An empty bucket, in whose folder `loop` the snapshots are."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    found = boto3.resource("s3", endpoint_url=server).Bucket(BUCKET)
    found.create()
    options = {"bucket_name": BUCKET, "location": "loop/snapshots", "endpoint_url": server}
    here = {"BACKEND": "annotate.s3.S3Folder", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "snapshots": here}
    yield found
    found.objects.all().delete()
    found.delete()


def test_a_snapshot_is_built_there_and_read_back(
    bucket: Any, ada: User, lena: User, round_one: Round, rank: Rank, make: Make
) -> None:
    said = rank(lena)
    snapshot = make()
    assert snapshot.state == SnapshotState.READY, snapshot.message
    keys = sorted(each.key for each in bucket.objects.all())
    folder = f"loop/snapshots/{snapshot.content_hash}"
    names = ("README.md", "snapshot.json", "train/rankings.jsonl")
    assert keys == [f"{folder}/{name}" for name in names]
    assert [row["rankings"] for row in rows(snapshot)] == [[said.pk]]

    client = cast.signed_in(ada)
    assert client.get(f"{ADDRESS}/rows").json()["rows"] == rows(snapshot)
    file = client.get(f"{ADDRESS}/files/train/rankings.jsonl")
    assert file.getvalue() == read(snapshot, "train/rankings.jsonl")
    whole = zipfile.ZipFile(io.BytesIO(client.get(f"{ADDRESS}/download.zip").getvalue()))
    assert whole.read("tone-snapshot-1/README.md") == read(snapshot, "README.md")


def test_the_same_content_is_written_once(
    bucket: Any, lena: User, round_one: Round, rank: Rank, make: Make
) -> None:
    rank(lena)
    first = make()
    written = {each.key: each.last_modified for each in bucket.objects.all()}
    assert make().content_hash == first.content_hash
    assert {each.key: each.last_modified for each in bucket.objects.all()} == written


def test_a_lost_file_is_said(
    bucket: Any, ada: User, lena: User, round_one: Round, rank: Rank, make: Make
) -> None:
    rank(lena)
    bucket.Object(f"loop/snapshots/{make().content_hash}/README.md").delete()
    response = cast.signed_in(ada).get(f"{ADDRESS}/card")
    assert response.status_code == 409
    assert "not in the storage" in response.json()["error"]["message"]


def test_a_server_that_is_away_is_a_failure_with_a_message(
    bucket: Any,
    lena: User,
    round_one: Round,
    rank: Rank,
    make: Make,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("annotate.s3.ATTEMPTS", 1)
    away = {"bucket_name": BUCKET, "endpoint_url": "http://127.0.0.1:9"}
    here = {"BACKEND": "annotate.s3.S3Folder", "OPTIONS": away}
    settings.STORAGES = {**settings.STORAGES, "snapshots": here}
    rank(lena)
    snapshot = make()
    assert snapshot.state == SnapshotState.FAILED
    assert snapshot.message.startswith("The files cannot be written: the storage does not answer")


def test_files_behave_as_in_a_folder(bucket: Any) -> None:
    storage = storages["snapshots"]
    assert isinstance(storage, S3Folder)
    name = storage.save("a/b.txt", ContentFile(b"one\ntwo\nthree"))
    assert storage.save("a/b.txt", ContentFile(b"one\ntwo\nthree!")) == name == "a/b.txt"
    assert storage.size(name) == 14
    with storage.open(name) as file:
        assert (file.size, file.readline(), file.read(2)) == (14, b"one\n", b"tw")
        assert list(file.chunks()) == [b"o\nthree!"]
    storage.delete(name)
    storage.delete(name)
    assert not storage.exists(name)
    with pytest.raises(FileNotFoundError):
        storage.open(name)
    with pytest.raises(ValueError, match="for reading"):
        storage.open(name, "wb")


def test_a_bucket_that_is_not_there_is_an_error_of_the_disk(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    storage = S3Folder(bucket_name="none", endpoint_url=server, region_name="us-east-1")
    with pytest.raises(OSError, match="bucket"):
        storage.save("a", ContentFile(b"one"))


def test_an_adapter_comes_back_from_there(
    bucket: Any, server: str, settings: Settings, tmp_path: Path
) -> None:
    options = {"bucket_name": BUCKET, "location": "loop/adapters", "endpoint_url": server}
    here = {"BACKEND": "annotate.s3.S3Folder", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "adapters": here}
    settings.ADAPTER_COPIES = tmp_path / "copies"
    folder = write_adapter(tmp_path / "made")
    stored = adapter_store.store(folder)
    assert adapter_store.store(folder) == stored
    copy = adapter_store.local_folder(stored.content_hash)
    assert copy == tmp_path / "copies" / stored.content_hash
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == files
    assert sum(map(len, files.values())) == stored.bytes
    with pytest.raises(Conflict, match="not in the storage"):
        adapter_store.local_folder("0" * 64)


@pytest.mark.parametrize("value", ["http://bucket", "bucket", "s3://", "s3:///folder"])
def test_a_bad_address_stops_the_start(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_URL", value)
    environment.read.cache_clear()
    try:
        with pytest.raises(BadEnvironment, match=r"STORAGE_URL: expected .*s3://"):
            environment.read()
    finally:
        monkeypatch.undo()
        environment.read.cache_clear()


def test_the_address_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_URL", "s3://bucket/some/folder")
    found = environment.Environment().storage_url
    assert (urlsplit(found).netloc, urlsplit(found).path) == ("bucket", "/some/folder")
