"""A replica or two, and two adapters that they can serve."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from inference import selftest
from inference.models import Adapter
from tests.inference.adapter_folders import registered, write_adapter
from tests.inference.fake_vllm import FakeVllm
from tests.inference.swaps.acting import look


@pytest.fixture(autouse=True)
def _short_selftests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "PROBES", selftest.PROBES[:2])


@pytest.fixture
def ready(configured: FakeVllm, settings: Settings, tmp_path: Path) -> FakeVllm:
    """The fake is a replica that serves the base, tested."""
    settings.INFERENCE_ADAPTER_FOLDER = tmp_path / "served"
    backend = "django.core.files.storage.FileSystemStorage"
    here = {"BACKEND": backend, "OPTIONS": {"location": tmp_path / "stored"}}
    settings.STORAGES = {**settings.STORAGES, "adapters": here}
    look()
    return configured


@pytest.fixture
def second(ready: FakeVllm, settings: Settings) -> Iterator[FakeVllm]:
    """Another ready replica."""
    with FakeVllm() as other:
        settings.INFERENCE_URLS = [ready.url, other.url]
        look()
        yield other


@pytest.fixture
def red(ready: FakeVllm, tmp_path: Path) -> Adapter:
    return registered(write_adapter(tmp_path / "red", seed=1))


@pytest.fixture
def blue(ready: FakeVllm, tmp_path: Path) -> Adapter:
    return registered(write_adapter(tmp_path / "blue", seed=2))
