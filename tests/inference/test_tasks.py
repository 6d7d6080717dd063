"""The regular check hands self-tests to the worker as jobs of their own."""

import pytest
from celery import current_app

from inference import tasks
from inference.models import Replica
from tests.inference.fake_vllm import FakeVllm

pytestmark = pytest.mark.django_db


def test_a_check_leads_to_a_selftest(configured: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(current_app.conf, "task_always_eager", True)
    tasks.check_replicas()
    assert Replica.objects.get().state == "ready"
