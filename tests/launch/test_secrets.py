"""No password and no key is in what a person or a log reads, whatever fails.

A setting that cannot be used is in test_environment.py.
"""

import asyncio
import io
import json
import logging
import logging.config
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from celery.signals import after_setup_logger
from django.conf import settings as configured
from django.core.files.base import ContentFile
from django.db import OperationalError
from rest_framework.test import APIRequestFactory

from annotate.api import errors
from annotate.environment import Environment, free_port, without_secrets
from annotate.errors import Conflict
from annotate.launch import __main__ as launch
from annotate.launch import checks
from annotate.launch.terminal import Terminal
from annotate.s3 import S3Folder
from inference.client import ReplicaClient
from inference.completions import Endpoint
from inference.errors import InferenceError
from training.runs import endings, log_tail

SECRET = "hunter2/and more"
QUOTED = quote(SECRET, safe="")


def clean(text: str) -> None:
    assert text, "nothing was said at all"
    assert SECRET not in text
    assert QUOTED not in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("DATABASE_URL", "postgresql://me:{secret}@127.0.0.1:{port}/prefloop"),
        ("DATABASE_URL", "postgresql://me@127.0.0.1:{port}/prefloop?password={secret}"),
        ("BROKER_URL", "redis://:{secret}@127.0.0.1:{port}/0"),
        ("BROKER_URL", "amqp://me:{secret}@127.0.0.1:{port}"),
        ("CACHE_URL", "redis://me:{secret}@127.0.0.1:{port}/1"),
    ],
)
def test_a_service_that_is_away(
    name: str,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, address.format(secret=QUOTED, port=free_port()))
    env = Environment(var_dir=tmp_path)
    monkeypatch.setattr("annotate.environment.read", lambda: env)
    monkeypatch.setattr(launch, "run", checks.external)

    assert launch.main([]) == 1

    said = capsys.readouterr().err
    assert name in said
    clean(said)


def test_a_vllm_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("INFERENCE_API_KEY", "hunter2-and-more")
    (warning,) = checks.external(Environment(var_dir=tmp_path))
    clean(warning)

    async def ask() -> None:
        endpoint = Endpoint("gpu-1", f"http://127.0.0.1:{free_port()}")
        async with ReplicaClient(endpoint, api_key="hunter2-and-more") as client:
            await client.metrics()

    with pytest.raises(InferenceError) as caught:
        asyncio.run(ask())
    clean(f"{caught.value} {caught.value.summary} {caught.value.detail}")


def test_a_storage_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotate.s3.ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hunter2-the-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-and-more")
    endpoint = f"http://127.0.0.1:{free_port()}"
    storage = S3Folder(bucket_name="b", endpoint_url=endpoint)
    with pytest.raises(OSError, match=r"127\.0\.0\.1") as caught:
        storage.save("x", ContentFile(b"x"))
    clean(str(caught.value))


def with_trace(failing: Callable[[], Any]) -> Any:
    try:
        failing()
    except Exception:
        return sys.exc_info()
    raise AssertionError("it did not fail")


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> str:
    """A broker's, as this process knows it."""
    found = f"amqp://me:{QUOTED}@broker:5672"
    monkeypatch.setenv("BROKER_URL", found)
    return found


def raising(text: str) -> Callable[[], None]:
    def fail() -> None:
        raise ConnectionError(text)

    return fail


@pytest.mark.parametrize("form", ["{address}", "login with {secret} failed", "token={quoted}"])
def test_a_traceback_in_a_log(form: str, address: str) -> None:
    """By Django's own settings, and by the handlers that Celery sets up."""
    text = form.format(address=address, secret=SECRET, quoted=QUOTED)
    trace = with_trace(raising(text))
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "It failed: %s", (text,), trace)
    ours: Any = configured.LOGGING
    factory: Any = logging.config.DictConfigurator({"version": 1})
    written = factory.configure_formatter(dict(ours["formatters"]["line"])).format(record)
    assert "Traceback" in written
    clean(written)

    stream = io.StringIO()
    logger = logging.Logger("celery-like")
    logger.addHandler(logging.StreamHandler(stream))
    after_setup_logger.send(sender=None, logger=logger)
    logger.handle(record)
    clean(stream.getvalue())


def test_the_terminal_and_its_log(address: str, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "supervisor.log")
    terminal.say(f"worker ended with code 1: cannot connect to {address}")
    clean((tmp_path / "supervisor.log").read_text())


def test_what_became_of_a_run(address: str, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(f"Traceback\nConnectionError: {address} refused {SECRET}\n")
    ending = endings.without_word(1, log_tail.tail(log))
    clean(ending.message)
    clean(endings.for_people(f"The hub did not answer at https://me:{QUOTED}@hub/model."))


def test_an_answer_of_the_api(address: str) -> None:
    request = APIRequestFactory().get("/")
    for problem in (Conflict(f"{address} is away"), OperationalError(f"{address} is away")):
        answered = errors.exception_handler(problem, {"request": request})
        assert answered is not None
        clean(json.dumps(answered.data))


def test_only_secrets_are_hidden() -> None:
    text = "http://127.0.0.1:8000/v1 answers ada@example.org, DB postgresql://db/x?host=/run"
    assert without_secrets(text, {"PATH": "answers"}) == text
    known = {"SECRET_KEY": "answers", "MODEL": "ada@example.org"}
    assert without_secrets(text, known) == text.replace("answers", "•••")
