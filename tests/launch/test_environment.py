"""A bad variable stops the start with one line that names it and says what was expected."""

import os
import stat
from pathlib import Path
from uuid import uuid4

import pytest

from annotate import environment
from annotate.environment import BadEnvironment, Environment


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


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PORT", "http", "expected a whole number"),
        ("PORT", "0", "expected a whole number of at least 1"),
        ("PORT", "70000", "expected a whole number of at most 65535"),
        ("DEBUG", "maybe", "expected true or false"),
        ("DATABASE_URL", "mysql://db/x", "begins with postgresql://… or postgres://…"),
        ("BROKER_URL", "kafka://x", "begins with redis://…"),
        ("CACHE_URL", "memcached://x", "begins with redis://…"),
        ("INFERENCE_URL", "http://a,b:8000", "begins with http://… or https://…"),
        ("MAX_MODEL_LEN", "1", "at least 128"),
        ("INFERENCE_GPUS", "0,x", "expected a whole number"),
        ("TRAINING_GPUS", "-1", "expected a whole number of at least 0"),
        ("INFERENCE_GPU_SHARE", "half", "expected a number"),
        ("INFERENCE_GPU_SHARE", "1.5", "expected a number from 0 to 0.98"),
        ("VLLM_ARGS", "--x 'y", "a command line (No closing quotation)"),
        ("TRAINING_LAUNCH", "accelerate 'x", "a command line (No closing quotation)"),
        ("TRAINING_ROLLOUTS_URL", "vllm:8000", "begins with http://… or https://…"),
        ("TRAINING_ROLLOUTS_URL", "http://", "expected an address as http://host:8000"),
        ("TRAINING_ROLLOUTS_URL", "http://:key@vllm", "without a key"),
        ("LOG_LEVEL", "loud", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    ],
)
def test_one_line_names_the_variable(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    (line,) = complaints()

    assert line.startswith(f"{name}: ")
    assert expected in line
    assert repr(value) in line


def test_a_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hunter2")

    assert complaints() == ["SECRET_KEY: expected at least 32 characters"]


def test_every_bad_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("HTTPS", "x")

    assert [line.split(":")[0] for line in complaints()] == ["PORT", "HTTPS"]


def test_a_local_port_beside_external_replicas_is_a_contradiction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INFERENCE_URL", "http://replica:8000")
    monkeypatch.setenv("INFERENCE_PORT", "8001")

    assert complaints()[0].startswith("INFERENCE_PORT: ")


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
