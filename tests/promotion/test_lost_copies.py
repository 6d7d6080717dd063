"""Copies of adapters can be lost, on any machine: database and storage are all that is kept."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.core.files.storage import storages
from moto.server import ThreadedMotoServer

from annotate.errors import Conflict
from annotate.models import Project, User
from annotate.services.projects import create_project
from inference.models import Adapter
from tests.inference.fake_vllm import FakeVllm
from tests.inference.swaps.acting import age, ask, look
from tests.promotion.conftest import Settings, Train, answering
from tests.promotion.test_promotion_faults import ask as asked
from tests.promotion.test_promotion_faults import performed, served
from training.models import TrainedAdapter
from training.queries import promotions as reads

pytestmark = pytest.mark.django_db(transaction=True)
BUCKET = "prefloop-lost-copies"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[Any]:
    """The storage of adapters is a bucket."""
    for variable, value in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(variable, value)
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    found = boto3.resource("s3", endpoint_url=f"http://{host}:{port}").Bucket(BUCKET)
    found.create()
    options = {"bucket_name": BUCKET, "location": "a", "endpoint_url": f"http://{host}:{port}"}
    here = {"BACKEND": "annotate.s3.S3Folder", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "adapters": here}
    yield found
    running.stop()


def on_another_machine(settings: Settings, folder: Path, vllm: FakeVllm) -> None:
    """Nothing of the former one is left but what is elsewhere; its servers are new, too."""
    former = [Path(settings.INFERENCE_ADAPTER_FOLDER), Path(settings.ADAPTER_COPIES)]
    settings.INFERENCE_ADAPTER_FOLDER = folder / "served"
    settings.ADAPTER_COPIES = folder / "copies"
    for path in former:
        shutil.rmtree(path, ignore_errors=True)
    vllm.restart()
    look()
    look()


def test_only_the_folder_served_is_lost(
    ready: FakeVllm,
    tone: Project,
    ada: User,
    train: Train,
    red: TrainedAdapter,
    blue: TrainedAdapter,
    settings: Settings,
) -> None:
    performed(asked(red, tone))
    zero = Adapter.objects.get(zero=True)
    shutil.rmtree(settings.INFERENCE_ADAPTER_FOLDER)
    ready.restart()
    look()
    look()
    assert (answering(), answering("base")) == (served(red), str(zero))
    assert all(Path(folder, "adapter.json").is_file() for folder in ready.folders.values())
    shutil.rmtree(settings.INFERENCE_ADAPTER_FOLDER)
    assert performed(asked(blue, tone)).state == "done"
    other = create_project(actor_id=ada.pk, slug="other", name="Other")
    age()
    assert performed(asked(train(project=other), other)).state == "done"


def test_copies_of_what_is_loaded_are_made_anew_at_once(
    ready: FakeVllm, tone: Project, red: TrainedAdapter, settings: Settings
) -> None:
    """The engine reads them again whenever it had to put one aside."""
    performed(asked(red, tone))
    calls = list(ready.lora_calls)
    shutil.rmtree(settings.INFERENCE_ADAPTER_FOLDER)
    look()
    assert all(Path(folder, "adapter.json").is_file() for folder in ready.folders.values())
    assert len(ready.folders) == 2
    assert ready.lora_calls == calls


def test_database_and_bucket_on_an_empty_machine(
    bucket: Any,
    ready: FakeVllm,
    tone: Project,
    red: TrainedAdapter,
    settings: Settings,
    tmp_path: Path,
) -> None:
    settings.ADAPTER_COPIES = tmp_path / "copies"
    performed(asked(red, tone))
    on_another_machine(settings, tmp_path / "second", ready)
    assert ask("tone/current").adapter_hash == red.content_hash
    places = [Path(folder) for folder in ready.folders.values()]
    assert {path.parent for path in places} == {tmp_path / "second" / "served"}
    assert all(path.is_dir() for path in places)
    with pytest.raises(Conflict, match="already"):
        asked(red, tone)


def test_a_copy_of_a_bucket_that_is_cut_off_is_fetched_again(
    bucket: Any,
    ready: FakeVllm,
    tone: Project,
    red: TrainedAdapter,
    settings: Settings,
    tmp_path: Path,
) -> None:
    settings.ADAPTER_COPIES = tmp_path / "copies"
    performed(asked(red, tone))
    for folder in (settings.ADAPTER_COPIES, settings.INFERENCE_ADAPTER_FOLDER):
        (Path(folder) / red.content_hash / "adapter_model.safetensors").write_bytes(b"x")
    ready.restart()
    look()
    look()
    assert answering() == served(red)


def test_what_is_the_model_but_not_served_can_be_promoted_again(
    ready: FakeVllm, tone: Project, red: TrainedAdapter, blue: TrainedAdapter, settings: Settings
) -> None:
    performed(asked(red, tone))
    performed(asked(blue, tone))
    stored = Path(storages["adapters"].path(blue.content_hash))
    stored.rename(stored.with_name("away"))
    shutil.rmtree(settings.INFERENCE_ADAPTER_FOLDER)
    ready.restart()
    look()
    look()
    assert served(blue) not in ready.models
    stored.with_name("away").rename(stored)
    again = performed(asked(blue, tone))
    assert (again.state, again.message) == ("done", "")
    assert (answering(), reads.trail(tone.pk)) == (served(blue), [None, red.pk, blue.pk])


def test_a_zero_adapter_whose_shapes_nobody_has_is_replaced(
    ready: FakeVllm, tone: Project, red: TrainedAdapter, train: Train, settings: Settings
) -> None:
    performed(asked(red, tone))
    first = Adapter.objects.get(zero=True)
    performed(asked(large := train(rank=16), tone))
    shutil.rmtree(storages["adapters"].path(red.content_hash))
    shutil.rmtree(settings.INFERENCE_ADAPTER_FOLDER)
    ready.restart()
    for _ in range(4):
        look()
    second = Adapter.objects.get(zero=True, state="serving")
    assert second != first
    assert (answering(), answering("base")) == (served(large), str(second))
    assert str(first) not in ready.models
