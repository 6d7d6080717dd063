"""Fixtures of the inference tests."""

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from inference.completions import Endpoint
from tests.inference.fake_vllm import FakeVllm


@pytest.fixture
def fake() -> Iterator[FakeVllm]:
    with FakeVllm() as server:
        yield server


@pytest.fixture
def endpoint(fake: FakeVllm) -> Endpoint:
    return Endpoint("gpu-1", fake.url, frozenset({"base"}), chat_template_hash="c" * 64)


@pytest.fixture
def configured(fake: FakeVllm, settings: Settings) -> FakeVllm:
    """The fake is the one configured replica."""
    settings.INFERENCE_URLS = [fake.url]
    settings.INFERENCE_API_KEY = ""
    return fake
