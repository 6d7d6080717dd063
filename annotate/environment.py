"""The one place that reads environment variables: strict, typed, documented.

Every field's description is a row of the README's table of settings. A variable that cannot be
used stops the process with one line that names it and says what was expected.
"""

import hashlib
import json
import os
import random
import re
import secrets
import shlex
import socket
import tempfile
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parent.parent
BUNDLED_MODEL = "SmolLM2-135M-Instruct"
DATABASE_ROLE = "prefloop_app"  # made by annotate/postgres/own_role.sql
EXPECTED = {  # pydantic's kinds of problem in the words of the README
    "bool_parsing": "expected true or false",
    "literal_error": "expected {expected}",
    "int_parsing": "expected a whole number",
    "float_parsing": "expected a number",
    "greater_than_equal": "expected a whole number of at least {ge}",
    "less_than_equal": "expected a whole number of at most {le}",
}
ADDRESS = re.compile(r"https?://[^\s/@?#]+(/[^\s?#]*)?")
PORTS = range(20_000, 30_000)  # below those that systems give to outgoing connections
LONGEST_SOCKET_FOLDER = 64  # a Unix socket's whole path must stay below 108 bytes on Linux


class BadEnvironment(SystemExit):
    """Some variables cannot be used. `lines` holds one sentence for each of them."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


def _url(*schemes: str) -> AfterValidator:
    expected = " or ".join(f"{scheme}://…" for scheme in schemes)

    def check(value: str) -> str:
        if value and urlsplit(value).scheme not in schemes:
            raise ValueError(f"expected an address that begins with {expected}")
        return value

    return AfterValidator(check)


def _comma_separated(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _share(value: float) -> float:
    if not 0 <= value <= 0.98:
        raise ValueError("expected a number from 0 to 0.98")
    return value


DatabaseUrl = Annotated[str, _url("postgresql", "postgres")]
BrokerUrl = Annotated[str, _url("redis", "rediss", "redis+socket", "amqp", "amqps")]
CacheUrl = Annotated[str, _url("redis", "rediss", "unix")]
Gpu = Annotated[int, Field(ge=0, le=255)]
HttpUrl = Annotated[str, _url("http", "https")]


class Environment(BaseSettings):
    """Environment variables of every Prefloop process. An empty variable counts as not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, populate_by_name=True)

    host: str = Field("127.0.0.1", description="Address the web server listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port the web server listens on.")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        ("localhost", "127.0.0.1", "[::1]"),
        description="Host names under which the site may be called, comma separated.",
    )
    trusted_origins: Annotated[tuple[HttpUrl, ...], NoDecode] = Field(
        (),
        description="Origins as https://host:port from which a browser may write although they "
        "differ from the host name that the web server sees, comma separated.",
    )
    https: bool = Field(
        False,
        description="Set to true behind a reverse proxy with TLS that sets X-Forwarded-Proto: "
        "cookies become secure and HSTS is sent.",
    )
    debug: bool = Field(False, description="Django's debug pages. Never on a machine others reach.")
    given_secret_key: str = Field(
        "",
        validation_alias="SECRET_KEY",
        description="Signs sessions, at least 32 characters; the same on every machine. "
        "Not set: generated once into VAR_DIR/secrets.",
    )
    var_dir: Path = Field(
        CHECKOUT / "var",
        description="Folder for everything that is written: data, models, logs, secrets.",
    )
    given_database_url: DatabaseUrl = Field(
        "",
        validation_alias="DATABASE_URL",
        description="PostgreSQL as postgresql://user:password@host/name. "
        "Not set: an embedded PostgreSQL under VAR_DIR.",
    )
    given_broker_url: BrokerUrl = Field(
        "",
        validation_alias="BROKER_URL",
        description="Celery's broker: Redis, Valkey (redis://) or RabbitMQ (amqp://). "
        "Not set: an embedded Valkey under VAR_DIR.",
    )
    given_cache_url: CacheUrl = Field(
        "",
        validation_alias="CACHE_URL",
        description="Cache: Redis or Valkey (redis://). Not set: an embedded Valkey under VAR_DIR.",
    )
    storage_url: Annotated[str, _url("s3")] = Field(
        "",
        description="Bucket for snapshots and adapters as s3://bucket/folder, with the standard "
        "variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION. "
        "Not set: folders under VAR_DIR.",
    )
    storage_endpoint_url: HttpUrl = Field(
        "",
        description="Address of the S3-compatible server, as https://minio:9000. "
        "Not set: Amazon's.",
    )
    given_inference_urls: Annotated[tuple[HttpUrl, ...], NoDecode] = Field(
        (),
        validation_alias="INFERENCE_URL",
        description="vLLM replicas as http://host:8000, comma separated. "
        "Not set: a local vLLM is started.",
    )
    given_inference_api_key: str = Field(
        "",
        validation_alias="INFERENCE_API_KEY",
        description="API key of the replicas. Not set: for the local vLLM one is generated "
        "into VAR_DIR/secrets.",
    )
    given_inference_port: int = Field(
        0,
        validation_alias="INFERENCE_PORT",
        ge=0,
        le=65535,
        description="Loopback port of the local vLLM. 0: a free one is chosen and remembered.",
    )
    model: str = Field(
        BUNDLED_MODEL,
        description="Model that the local vLLM serves: a folder, a model hub id, or the bundled "
        f"{BUNDLED_MODEL}.",
    )
    chat_template: str = Field(
        "",
        description="File with a chat template (Jinja) to be used instead of the model's own, by "
        "the local vLLM and in training. Other vLLM servers are started with --chat-template.",
    )
    chat_template_kwargs: Annotated[dict[str, JsonValue], NoDecode] = Field(
        {},
        description="Settings of the chat template as a JSON object, sent with every request and "
        'used in training; {"enable_thinking": false} asks many models for answers without '
        "thoughts.",
    )
    max_model_len: int = Field(
        2048,
        ge=128,
        description="Longest prompt and answer together, in tokens, of the local vLLM.",
    )
    inference_cache_gb: int = Field(
        2,
        ge=1,
        description="Memory in GiB for the local vLLM's key-value cache on a CPU. "
        "For a GPU there is INFERENCE_GPU_SHARE.",
    )
    inference_gpus: Annotated[tuple[Gpu, ...], NoDecode] = Field(
        (),
        description="GPUs of the local vLLM, as nvidia-smi numbers them, comma separated; over "
        "several the model is split (tensor parallelism). Not set: the first.",
    )
    inference_gpu_share: Annotated[float, AfterValidator(_share)] = Field(
        0.0,
        description="Share of each of these GPUs that the local vLLM takes. 0: 0.9, or 0.5 of one "
        "that trains as well.",
    )
    training_gpus: Annotated[tuple[Gpu, ...], NoDecode] = Field(
        (),
        description="GPUs that training sees, comma separated; a run uses the first, or as many as "
        "TRAINING_LAUNCH says. Not set: those that do not serve, or the one that there is.",
    )
    vllm_args: str = Field(
        "",
        description="More arguments for the local vLLM, as --enforce-eager --max-num-seqs 64.",
    )
    inference_adapters: int = Field(
        4,
        ge=0,
        le=64,
        description="How many trained adapters the local vLLM serves at most: the current one, a "
        "candidate, those that were replaced. 0: none, nothing can be promoted; on a CPU that "
        "doubles the base model's speed.",
    )
    inference_adapter_rank: int = Field(
        16, ge=1, le=512, description="Largest rank of an adapter that the local vLLM serves."
    )
    given_training_model: str = Field(
        "",
        validation_alias="TRAINING_MODEL",
        description="Model that adapters are trained on: a folder or a model hub id. "
        "Not set: MODEL.",
    )
    training_launch: str = Field(
        "",
        description="What starts a training run on several GPUs, as accelerate launch "
        "--config_file training/engine/launch/ddp.yaml. Not set: one process.",
    )
    training_keep_days: int = Field(
        14,
        ge=0,
        le=3650,
        description="Days after which a run that failed or was canceled loses its checkpoints.",
    )
    training_rollouts_url: HttpUrl = Field(
        "",
        description="vLLM server with the base that samples the answers of PPO runs, as "
        "http://host:8000. It must see VAR_DIR/training/runs under the same path, and be none of "
        "INFERENCE_URL: each step loads another adapter there, after which all that a replica "
        "serves is tested again. Not set: transformers samples in the trainer's process.",
    )
    training_rollouts_api_key: str = Field("", description="API key of TRAINING_ROLLOUTS_URL.")
    web_workers: int = Field(
        0, ge=0, le=64, description="Web server processes. 0: one per CPU core, 2 to 8."
    )
    worker_concurrency: int = Field(
        2, ge=1, le=256, description="Background jobs that run at the same time."
    )
    inference_concurrency: int = Field(
        32,
        ge=1,
        le=4096,
        description="Completions that one replica is asked to write at the same time.",
    )
    generation_ahead: int = Field(
        200,
        ge=1,
        description="How many tasks of a round are written ahead of the labelers.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="How much the logs say: DEBUG, INFO, WARNING or ERROR."
    )

    @field_validator(
        "allowed_hosts",
        "trusted_origins",
        "given_inference_urls",
        "inference_gpus",
        "training_gpus",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return _comma_separated(value)

    @field_validator("var_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("training_launch", "vllm_args")
    @classmethod
    def _splits(cls, value: str) -> str:
        try:
            shlex.split(value)
        except ValueError as problem:
            raise ValueError(f"expected a command line ({problem})") from None
        return value

    @field_validator("training_rollouts_url")
    @classmethod
    def _with_host(cls, value: str) -> str:
        if value and not ADDRESS.fullmatch(value):
            raise ValueError("expected an address as http://host:8000, without a key")
        return value.rstrip("/")

    @field_validator("given_secret_key")
    @classmethod
    def _long_enough(cls, value: str) -> str:
        if value and len(value) < 32:
            raise ValueError("expected at least 32 characters")
        return value

    @field_validator("chat_template")
    @classmethod
    def _readable(cls, value: str) -> str:
        if value and not Path(value).expanduser().is_file():
            raise ValueError("expected a file")
        return str(Path(value).expanduser().absolute()) if value else ""

    @field_validator("chat_template_kwargs", mode="before")
    @classmethod
    def _json_object(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            found = json.loads(value)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ValueError('expected a JSON object, as {"enable_thinking": false}')
        return found

    @field_validator("storage_url")
    @classmethod
    def _with_bucket(cls, value: str) -> str:
        if value and not urlsplit(value).netloc:
            raise ValueError("expected s3://bucket or s3://bucket/folder")
        return value

    @model_validator(mode="after")
    def _one_machine_or_many(self) -> Self:
        if self.given_inference_urls and self.given_inference_port:
            raise ValueError(
                "INFERENCE_PORT: belongs to the local vLLM, which INFERENCE_URL replaces"
            )
        if self.training_rollouts_url in (url.rstrip("/") for url in self.given_inference_urls):
            raise ValueError(
                "TRAINING_ROLLOUTS_URL: is one of INFERENCE_URL, which serves people; start "
                "another vLLM for PPO, or leave it out"
            )
        return self

    @property
    def embeds_postgres(self) -> bool:
        return not self.given_database_url

    @property
    def embeds_valkey(self) -> bool:
        return not (self.given_broker_url and self.given_cache_url)

    @property
    def embeds_vllm(self) -> bool:
        return not self.given_inference_urls

    @cached_property
    def run_dir(self) -> Path:
        """Folder of the Unix sockets: VAR_DIR/run, or a short one when VAR_DIR is too deep."""
        folder = self.var_dir / "run"
        if len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER:
            return folder
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"prefloop-{os.geteuid()}-{digest}"

    @property
    def valkey_socket(self) -> Path:
        return self.run_dir / "valkey.sock"

    @property
    def vllm_sockets(self) -> Path:
        """Folder of the sockets between vLLM's processes, each of 36 characters."""
        return self.run_dir / "vllm"

    @property
    def database_url(self) -> str:
        """Address of the database: DATABASE_URL, or the embedded server's socket."""
        socket_folder = quote(str(self.run_dir / "postgres"))
        return (
            self.given_database_url
            or f"postgresql://{DATABASE_ROLE}@/prefloop?host={socket_folder}"
        )

    @property
    def broker_url(self) -> str:
        """Address of Celery's broker: BROKER_URL, or database 0 of the embedded Valkey."""
        embedded = f"redis+socket://{quote(str(self.valkey_socket))}?virtual_host=0"
        return self.given_broker_url or embedded

    @property
    def cache_url(self) -> str:
        """Address of the cache: CACHE_URL, or database 1 of the embedded Valkey."""
        return self.given_cache_url or f"unix://{quote(str(self.valkey_socket))}?db=1"

    @property
    def training_model(self) -> str:
        """TRAINING_MODEL, or the model that is served."""
        return self.given_training_model or self.model

    @property
    def inference_urls(self) -> tuple[str, ...]:
        """Base addresses of the vLLM servers: INFERENCE_URL, or the local one's on loopback."""
        return self.given_inference_urls or (f"http://127.0.0.1:{self.inference_port}",)

    @property
    def inference_port(self) -> int:
        """INFERENCE_PORT, or a free port that is chosen once and remembered in VAR_DIR."""
        if self.given_inference_port:
            return self.given_inference_port
        path = self.var_dir / "inference_port"
        if not path.exists():
            self.var_dir.mkdir(parents=True, exist_ok=True)
            _write_once(path, str(free_port()))
        return int(path.read_text())

    def choose_another_inference_port(self) -> None:
        """When somebody else listens on the remembered one."""
        (self.var_dir / "inference_port").unlink(missing_ok=True)

    @cached_property
    def secret_key(self) -> str:
        """SECRET_KEY, or the generated one."""
        return self.given_secret_key or self.secret("secret_key")

    @cached_property
    def inference_api_key(self) -> str:
        """The API key to send to vLLM; empty when external replicas ask for none."""
        if self.given_inference_api_key or self.given_inference_urls:
            return self.given_inference_api_key
        return self.secret("inference_api_key")

    def secret(self, name: str, size: int = 48) -> str:
        """The generated secret of that name: made at the first call, kept in VAR_DIR/secrets.

        size: bytes of randomness.
        """
        folder = self.var_dir / "secrets"
        path = folder / name
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_once(path, secrets.token_urlsafe(size))
        return path.read_text().strip()


def free_port() -> int:
    """A loopback TCP port that nobody uses now.

    Its server may open it a minute later, so it is none of those that the system gives to whoever
    connects or asks for any, and the choice is by chance: two that look at once find two.
    """
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no port from {PORTS[0]} to {PORTS[-1]} is free")


def _write_once(path: Path, text: str) -> None:
    """Write a file whole or not at all; when another process was first, keep that one's."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
        os.link(draft, path)
    except FileExistsError:
        pass  # the other process's is as good as ours
    finally:
        Path(draft).unlink()


@lru_cache(maxsize=1)
def read() -> Environment:
    """The environment of this process, read once.

    Raises BadEnvironment (a SystemExit) with one line for each variable that cannot be used.
    """
    try:
        return Environment()
    except ValidationError as error:
        raise BadEnvironment(_explain(error)) from None


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        reason = EXPECTED.get(problem["type"], "{msg}").format(**problem, **problem.get("ctx", {}))
        reason = reason.removeprefix("Value error, ")
        if not problem["loc"]:
            lines.append(reason)
            continue
        name = str(problem["loc"][0]).upper()
        shown = "" if "KEY" in name else f", not {os.environ.get(name, '')!r}"
        lines.append(f"{name}: {reason}{shown}")
    return lines


def variables() -> list[tuple[str, str, str]]:
    """Name, default as one would write it, and meaning of every variable, in order."""
    rows = []
    for field_name, field in Environment.model_fields.items():
        name = str(field.validation_alias or field_name)
        default = field.default
        if isinstance(default, tuple):
            default = ",".join(default)
        if default == {}:
            default = ""
        if isinstance(default, bool):
            default = str(default).lower()
        if default == CHECKOUT / "var":
            default = "var"
        rows.append((name.upper(), str(default), field.description or ""))
    return rows
