"""A project with trained adapters, and a scripted vLLM that serves the base."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest
from django.db import connections

from annotate.models import Project, Role, User
from annotate.services.projects import create_project
from inference import queries, selftest
from tests import cast
from tests.inference.adapter_folders import write_adapter
from tests.inference.fake_vllm import FakeVllm
from tests.inference.swaps.acting import look
from tests.patience import PATIENCE_S
from tests.promotion.adapters import trained_adapter
from training.models import TrainedAdapter

Train = Callable[..., TrainedAdapter]
Settings = Any
P = ParamSpec("P")
R = TypeVar("R")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapters of one test are not found by another; self-tests are short."""
    backend = "django.core.files.storage.FileSystemStorage"
    here = {"BACKEND": backend, "OPTIONS": {"location": tmp_path / "adapters"}}
    settings.STORAGES = {**settings.STORAGES, "adapters": here}
    settings.INFERENCE_ADAPTER_FOLDER = tmp_path / "served"
    monkeypatch.setattr(selftest, "PROBES", selftest.PROBES[:1])


@pytest.fixture
def vllm() -> Iterator[FakeVllm]:
    with FakeVllm() as server:
        server.max_loras = 6
        yield server


@pytest.fixture
def ready(db: None, vllm: FakeVllm, settings: Settings) -> FakeVllm:
    """The one replica, tested."""
    settings.INFERENCE_URLS = [vllm.url]
    settings.INFERENCE_API_KEY = ""
    look()
    return vllm


def answering(name: str = "tone/current") -> str:
    """The served name that answers for a name, on the first replica."""
    endpoint = queries.ready_endpoints()[0]
    return endpoint.answers_as.get(name, name)


@pytest.fixture
def ada(db: None) -> User:
    return cast.person("ada")


@pytest.fixture
def tone(ada: User) -> Project:
    return create_project(actor_id=ada.pk, slug="tone", name="Tone")


@pytest.fixture
def lena(tone: Project) -> User:
    return cast.member(tone, "lena", Role.LABELER)


@pytest.fixture
def train(tone: Project, ada: User, tmp_path: Path) -> Train:
    """A trained adapter of the project, its files in the storage."""

    def trained(
        *, project: Project = tone, method: str = "dpo", base: str = "base", rank: int = 8
    ) -> TrainedAdapter:
        number = TrainedAdapter.objects.count() + 1
        folder = write_adapter(tmp_path / f"run-{number}", seed=number, base_name=base, rank=rank)
        return trained_adapter(folder, project, ada, base=base, method=method)

    return trained


@pytest.fixture
def red(train: Train) -> TrainedAdapter:
    return train()


@pytest.fixture
def blue(red: TrainedAdapter, train: Train) -> TrainedAdapter:
    return train()


def elsewhere(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What a function gives when another process runs it, with a connection of its own."""

    def run() -> R:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result(timeout=PATIENCE_S)
