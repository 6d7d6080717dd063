"""A bad variable stops the start with one line that names it and says what was expected."""

import os
import stat
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.test import RequestFactory
from pytest_django.fixtures import Settings

from annotate import environment
from annotate.environment import BadEnvironment, Environment, without_secrets


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, _, _ in environment.variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    environment.read.cache_clear()


def complaints() -> list[str]:
    with pytest.raises(BadEnvironment) as raised:
        environment.read()
    return raised.value.lines


SERVER = "expected an address as http://host:8000"
WRONG = [
    ("HOST", "http://0.0.0.0", "without a port"),
    ("HOST", "localhost:8000", "without a port"),
    ("PORT", "http", "expected a whole number"),
    ("PORT", "0", "expected a whole number of at least 1"),
    ("PORT", "70000", "expected a whole number of at most 65535"),
    ("ALLOWED_HOSTS", "https://label.example.org", "without https://, a port or a path"),
    ("ALLOWED_HOSTS", "label.example.org:8443", "without https://, a port or a path"),
    ("ALLOWED_HOSTS", "label.example.org/", "without https://, a port or a path"),
    ("ALLOWED_HOSTS", "*.example.org", "written as .example.org"),
    ("ALLOWED_HOSTS", "bücher.example", "xn--"),
    ("TRUSTED_ORIGINS", "label.example.org", "begins with http://… or https://…"),
    ("TRUSTED_ORIGINS", "https://label.example.org/annotate", "without a path"),
    ("TRUSTED_ORIGINS", "https://label.example.org?x=1", "without a path"),
    ("TRUSTED_ORIGINS", "https://ada:pw@label.example.org", "without a user"),
    ("TRUSTED_ORIGINS", "https://", "expected an origin as https://label.example.org"),
    ("TRUSTED_ORIGINS", "https://label.example.org:99999", "expected an origin as"),
    ("TRUSTED_ORIGINS", "https://label.example.org:0", "a number from 1 to 65535"),
    ("TRUSTED_ORIGINS", "null", "begins with"),
    ("DEBUG", "maybe", "expected true or false"),
    ("DATABASE_URL", "mysql://db/x", "begins with postgresql://… or postgres://…"),
    ("DATABASE_URL", "postgresql://db", "the name of the database is missing"),
    ("DATABASE_URL", "postgresql://db:port/x", "a number from 1 to 65535"),
    ("DATABASE_URL", "postgresql://db/x?sslmod=require", "expected an address as postgresql://"),
    ("BROKER_URL", "kafka://x", "begins with redis://…"),
    ("BROKER_URL", "redis://h:6379/jobs", "the number of a database"),
    ("BROKER_URL", "redis://h:port/0", "%40 %2F %23"),
    ("BROKER_URL", "amqp://", "expected an address as"),
    ("CACHE_URL", "memcached://x", "begins with redis://…"),
    ("CACHE_URL", "redis:///1", "expected an address as redis://"),
    ("CACHE_URL", "redis://h/cache", "the number of a database"),
    ("STORAGE_URL", "https://bucket", "begins with s3://…"),
    ("STORAGE_URL", "s3://", "expected s3://bucket or s3://bucket/folder"),
    ("STORAGE_URL", "s3://bucket?region=x", "without a key"),
    ("INFERENCE_URL", "http://a,b:8000", "begins with http://… or https://…"),
    ("INFERENCE_URL", "http://a:8000/v1/", "the server's root, without /v1"),
    ("INFERENCE_URL", "http://a:8000?x=1", "without a key"),
    ("INFERENCE_URL", "http://a b:8000", SERVER),
    ("MAX_MODEL_LEN", "1", "at least 128"),
    ("MAX_MODEL_LEN", "100000000", "at most 16777216"),
    ("INFERENCE_CACHE_GB", "1000000", "at most 4096"),
    ("INFERENCE_ADAPTER_RANK", "20", "1, 8, 16, 32, 64, 128, 256, 320, 512"),
    ("INFERENCE_GPUS", "0,x", "expected a whole number"),
    ("TRAINING_GPUS", "-1", "expected a whole number of at least 0"),
    ("INFERENCE_GPU_SHARE", "half", "expected a number"),
    ("INFERENCE_GPU_SHARE", "1.5", "expected a number from 0 to 0.98"),
    ("VLLM_ARGS", "--x 'y", "a command line (No closing quotation)"),
    ("TRAINING_LAUNCH", "accelerate 'x", "a command line (No closing quotation)"),
    ("TRAINING_ROLLOUTS_URL", "vllm:8000", "begins with http://… or https://…"),
    ("TRAINING_ROLLOUTS_URL", "http://", SERVER),
    ("TRAINING_ROLLOUTS_URL", "http://vllm:8000/v1", "without /v1"),
    ("CHAT_TEMPLATE", "/no/such/file", "expected a file"),
    ("LOG_LEVEL", "loud", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_one_line_names_the_variable(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    (line,) = complaints()

    assert line.startswith(f"{name}: ")
    assert expected in line
    assert repr(without_secrets(value)) in line


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("HOST", "[::1]", "::1"),
        ("HOST", "0.0.0.0", "0.0.0.0"),  # noqa: S104
        ("ALLOWED_HOSTS", "Label.Example.org., *,.example.org", "label.example.org * .example.org"),
        ("ALLOWED_HOSTS", "::1,[FE80::0:1],10.0.0.7", "[::1] [fe80::1] 10.0.0.7"),
        ("TRUSTED_ORIGINS", "https://label.example.org/", "https://label.example.org"),
        ("TRUSTED_ORIGINS", "HTTPS://Label.Example.ORG", "https://label.example.org"),
        ("TRUSTED_ORIGINS", "https://label.example.org:443", "https://label.example.org"),
        ("TRUSTED_ORIGINS", "http://a:80, http://b:8000/", "http://a http://b:8000"),
        ("TRUSTED_ORIGINS", "https://*.Example.org", "https://*.example.org"),
        ("TRUSTED_ORIGINS", "http://[::1]:8000", "http://[::1]:8000"),
        (
            "INFERENCE_URL",
            "http://VLLM_1:8000/, https://b:443/x/",
            "http://vllm_1:8000 https://b/x",
        ),
        ("STORAGE_URL", "s3://bucket/folder/", "s3://bucket/folder"),
        ("INFERENCE_API_KEY", "key-of-the-replicas\n", "key-of-the-replicas"),
        ("DATABASE_URL", "postgresql:///x?host=/run/pg", "postgresql:///x?host=/run/pg"),
        ("DATABASE_URL", "postgres://a,b:5433/x", "postgres://a,b:5433/x"),
        ("BROKER_URL", "redis://unused", "redis://unused"),
        ("CACHE_URL", "unix:///run/valkey.sock?db=1", "unix:///run/valkey.sock?db=1"),
    ],
)
def test_what_means_the_same_is_read_as_what_works(
    name: str, value: str, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django and vLLM compare letter by letter."""
    monkeypatch.setenv(name, value)
    env = environment.read()
    fields = Environment.model_fields.items()
    named = {str(known.validation_alias or each).upper(): each for each, known in fields}
    found = getattr(env, named[name])
    assert (" ".join(found) if isinstance(found, tuple) else found) == read


@pytest.mark.parametrize("origin", ["https://label.example.org/", "https://LABEL.example.org:443"])
def test_an_origin_is_compared_by_django_as_a_browser_sends_it(
    origin: str, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("TRUSTED_ORIGINS", origin)
    settings.CSRF_TRUSTED_ORIGINS = list(environment.read().trusted_origins)
    request = RequestFactory().post("/", headers={"Origin": "https://label.example.org"})
    django: Any = CsrfViewMiddleware(lambda _: HttpResponse())
    assert django._origin_verified(request)


SECRET = "hunter2-and-more"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", SECRET[:7]),
        ("INFERENCE_API_KEY", f"{SECRET} {SECRET}"),
        ("TRAINING_ROLLOUTS_API_KEY", f"{SECRET}é"),
        ("DATABASE_URL", f"mysql://me:{SECRET}@db/x"),
        ("DATABASE_URL", f"postgresql://me:{SECRET}@db"),
        ("DATABASE_URL", f"postgresql://me:{SECRET}%zz@db/x"),
        ("DATABASE_URL", f"postgresql://me:{SECRET}/@db:5432/x"),
        ("DATABASE_URL", f"postgresql://db?password={SECRET}"),
        ("BROKER_URL", f"redis://:{SECRET}#1@valkey:6379/0"),
        ("BROKER_URL", f"redis://:{SECRET}@valkey:6379/jobs"),
        ("BROKER_URL", f"amqp://me:{SECRET}@"),
        ("CACHE_URL", f"redis://:{SECRET}/x@valkey:6379/1"),
        ("STORAGE_URL", f"s3://key:{SECRET}@bucket"),
        ("STORAGE_URL", f"s3://{SECRET}@bucket"),
        ("STORAGE_ENDPOINT_URL", f"https://key:{SECRET}@minio:9000"),
        ("INFERENCE_URL", f"http://:{SECRET}@vllm:8000"),
        ("TRAINING_ROLLOUTS_URL", f"http://{SECRET}@vllm:8000"),
        ("TRUSTED_ORIGINS", f"https://me:{SECRET}@site"),
    ],
)
def test_a_secret_is_not_repeated(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)

    (line,) = complaints()

    assert line.startswith(f"{name}: expected")
    assert SECRET[:7] not in line


def test_every_bad_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("HTTPS", "x")

    assert [line.split(":")[0] for line in complaints()] == ["PORT", "HTTPS"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"INFERENCE_URL": "http://replica:8000", "INFERENCE_PORT": "8001"},
            "INFERENCE_PORT: belongs to the local vLLM",
        ),
        ({"PORT": "9000", "INFERENCE_PORT": "9000"}, "INFERENCE_PORT: is that of the web server"),
        ({"INFERENCE_URL": "http://a:80,http://A/"}, "INFERENCE_URL: names a server twice"),
        (
            {"INFERENCE_PORT": "9000", "TRAINING_ROLLOUTS_URL": "http://localhost:9000"},
            "TRAINING_ROLLOUTS_URL: is one of INFERENCE_URL",
        ),
        ({"TRAINING_ROLLOUTS_API_KEY": "key"}, "TRAINING_ROLLOUTS_API_KEY: has no server"),
        ({"STORAGE_ENDPOINT_URL": "https://minio"}, "STORAGE_ENDPOINT_URL: has no bucket"),
        ({"MODEL": "/no/such/folder"}, "MODEL: expected a folder that is there"),
        ({"MODEL": "./models/mine"}, "MODEL: expected a folder that is there"),
    ],
)
def test_what_excludes_another_or_has_no_effect_is_a_contradiction(
    given: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    assert complaints()[0].startswith(line)


def test_the_largest_rank_is_that_of_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.read().largest_rank == 16
    assert Environment(inference_adapter_rank=64).largest_rank == 64
    assert Environment(inference_adapters=0).largest_rank == 0
    monkeypatch.setenv("INFERENCE_URL", "http://a")
    assert Environment(inference_adapters=0).largest_rank == 16, "others have adapters of their own"


def test_ppo_does_not_sample_where_people_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_URL", "http://a:8000,http://b:8000/")
    monkeypatch.setenv("TRAINING_ROLLOUTS_URL", "http://b:8000")
    assert complaints()[0].startswith("TRAINING_ROLLOUTS_URL: is one of INFERENCE_URL")

    monkeypatch.setenv("TRAINING_ROLLOUTS_URL", "http://c:8000/")
    assert environment.read().training_rollouts_url == "http://c:8000"


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("DATABASE_URL", "")

    assert environment.read().port == 8000
    assert environment.read().embeds_postgres


def test_each_part_moves_out_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_URL", "amqp://guest@broker//")
    monkeypatch.setenv("INFERENCE_URL", "http://a:8000, https://b")

    env = environment.read()

    assert env.broker_url == "amqp://guest@broker//"
    assert env.cache_url == f"unix://{env.valkey_socket}?db=1"
    assert env.embeds_valkey, "the cache still needs it"
    assert env.inference_urls == ("http://a:8000", "https://b")
    assert env.inference_api_key == ""
    assert env.embeds_postgres
    assert not env.embeds_vllm


def test_a_deep_folder_gets_short_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = "/" + "/".join(["a-folder-of-some-length"] * 8)
    monkeypatch.setenv("VAR_DIR", deep)

    env = environment.read()

    assert len(os.fsencode(env.run_dir / "postgres" / ".s.PGSQL.5432")) < 108
    assert len(os.fsencode(env.vllm_sockets)) + len(f"/{uuid4()}") < 108
    assert env.run_dir != Environment(var_dir=Path(deep + "/other")).run_dir


def test_generated_secrets_stay_and_are_private(tmp_path: Path) -> None:
    first = environment.read().secret_key
    environment.read.cache_clear()

    assert environment.read().secret_key == first
    assert len(first) >= 32
    file = tmp_path / "secrets" / "secret_key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_the_local_port_is_remembered() -> None:
    first = environment.read().inference_port

    assert environment.read().inference_port == first
    assert environment.read().inference_urls == (f"http://127.0.0.1:{first}",)


def test_every_variable_is_described() -> None:
    for name, _, meaning in environment.variables():
        assert meaning.endswith("."), name


def test_every_number_has_two_bounds() -> None:
    for name, field in Environment.model_fields.items():
        if field.annotation is int and name != "inference_adapter_rank":  # one of a list
            bounds = {type(rule).__name__ for rule in field.metadata}
            assert bounds >= {"Ge", "Le"}, name
