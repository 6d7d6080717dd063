"""A replica or two, and two adapters that they can serve."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from inference import selftest
from inference.adapters import register_adapter
from inference.models import Adapter
from tests.inference.adapter_folders import write_adapter
from tests.inference.fake_vllm import FakeVllm
from tests.inference.swaps.acting import look


@pytest.fixture(autouse=True)
def _short_selftests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "PROBES", selftest.PROBES[:2])


@pytest.fixture
def ready(configured: FakeVllm, settings: Settings, tmp_path: Path) -> FakeVllm:
    """The fake is a replica that serves the base, tested."""
    settings.INFERENCE_ADAPTER_FOLDER = tmp_path / "served"
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
    return register_adapter(folder=write_adapter(tmp_path / "red", seed=1), base="base")


@pytest.fixture
def blue(ready: FakeVllm, tmp_path: Path) -> Adapter:
    return register_adapter(folder=write_adapter(tmp_path / "blue", seed=2), base="base")
