"""The variables themselves: names, types, defaults, and what excludes what."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from annotate.environment.addresses import (
    AllowedHost,
    BrokerUrl,
    BucketUrl,
    CacheUrl,
    DatabaseUrl,
    ListeningHost,
    Origin,
    ServerUrl,
    VllmUrl,
)
from annotate.environment.kinds import (
    ApiKey,
    CommandLine,
    CommaSeparated,
    File,
    Folder,
    Gpus,
    JsonObject,
    Rank,
    SecretKey,
    Share,
)

CHECKOUT = Path(__file__).resolve().parents[2]
BUNDLED_MODEL = "SmolLM2-135M-Instruct"
DATABASE_ROLE = "prefloop_app"  # made by annotate/postgres/own_role.sql
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Fields(BaseSettings):
    """Environment variables of every Prefloop process. An empty variable counts as not set."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, frozen=True, populate_by_name=True, str_strip_whitespace=True
    )

    host: ListeningHost = Field("127.0.0.1", description="Address the web server listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port the web server listens on.")
    allowed_hosts: Annotated[tuple[AllowedHost, ...], NoDecode, CommaSeparated] = Field(
        ("localhost", "127.0.0.1", "[::1]"),
        description="Host names under which the site may be called, without ports, comma "
        "separated; .example.org stands for all below it.",
    )
    trusted_origins: Annotated[tuple[Origin, ...], NoDecode, CommaSeparated] = Field(
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
    given_secret_key: SecretKey = Field(
        "",
        validation_alias="SECRET_KEY",
        description="Signs sessions, at least 32 characters; the same on every machine. "
        "Not set: generated once into VAR_DIR/secrets.",
    )
    var_dir: Folder = Field(
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
    storage_url: BucketUrl = Field(
        "",
        description="Bucket for snapshots and adapters as s3://bucket/folder, with the standard "
        "variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION. "
        "Not set: folders under VAR_DIR.",
    )
    storage_endpoint_url: ServerUrl = Field(
        "",
        description="Address of the S3-compatible server, as https://minio:9000. "
        "Not set: Amazon's.",
    )
    given_inference_urls: Annotated[tuple[VllmUrl, ...], NoDecode, CommaSeparated] = Field(
        (),
        validation_alias="INFERENCE_URL",
        description="vLLM replicas as http://host:8000, comma separated. "
        "Not set: a local vLLM is started.",
    )
    given_inference_api_key: ApiKey = Field(
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
    chat_template: File = Field(
        "",
        description="File with a chat template (Jinja) to be used instead of the model's own, by "
        "the local vLLM and in training. Other vLLM servers are started with --chat-template.",
    )
    chat_template_kwargs: JsonObject = Field(
        {},
        description="Settings of the chat template as a JSON object, sent with every request and "
        'used in training; {"enable_thinking": false} asks many models for answers without '
        "thoughts.",
    )
    max_model_len: int = Field(
        2048,
        ge=128,
        le=16_777_216,
        description="Longest prompt and answer together, in tokens, of the local vLLM.",
    )
    inference_cache_gb: int = Field(
        2,
        ge=1,
        le=4096,
        description="Memory in GiB for the local vLLM's key-value cache on a CPU. "
        "For a GPU there is INFERENCE_GPU_SHARE.",
    )
    inference_gpus: Gpus = Field(
        (),
        description="GPUs of the local vLLM, as nvidia-smi numbers them, comma separated; over "
        "several the model is split (tensor parallelism). Not set: the first.",
    )
    inference_gpu_share: Share = Field(
        0.0,
        description="Share of each of these GPUs that the local vLLM takes. 0: 0.9, or 0.5 of one "
        "that trains as well.",
    )
    training_gpus: Gpus = Field(
        (),
        description="GPUs that training sees, comma separated; a run uses the first, or as many as "
        "TRAINING_LAUNCH says. Not set: those that do not serve, or the one that there is.",
    )
    vllm_args: CommandLine = Field(
        "",
        description="More arguments for the local vLLM, as --enforce-eager --max-num-seqs 64.",
    )
    inference_adapters: int = Field(
        4,
        ge=0,
        le=64,
        description="How many trained adapters the local vLLM has loaded at most; of more, the "
        "longest unasked is unloaded and comes back when it is asked. 0: none, nothing can be "
        "promoted; on a CPU that doubles the base model's speed.",
    )
    inference_adapter_rank: Rank = Field(
        16,
        description="Largest rank of an adapter that vLLM serves: the local one is started with "
        "it; of others, what they were started with (--max-lora-rank).",
    )
    given_training_model: str = Field(
        "",
        validation_alias="TRAINING_MODEL",
        description="Model that adapters are trained on: a folder or a model hub id. "
        "Not set: MODEL.",
    )
    training_launch: CommandLine = Field(
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
    training_rollouts_url: VllmUrl = Field(
        "",
        description="vLLM server with the base that samples the answers of PPO runs, as "
        "http://host:8000. It must see VAR_DIR/training/runs under the same path, and be none of "
        "INFERENCE_URL: each step loads another adapter there, after which all that a replica "
        "serves is tested again. Not set: transformers samples in the trainer's process.",
    )
    training_rollouts_api_key: ApiKey = Field("", description="API key of TRAINING_ROLLOUTS_URL.")
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
        le=100_000,
        description="How many tasks of a round are written ahead of the labelers at least: tasks "
        "that nobody has in hand.",
    )
    generation_ahead_each: int = Field(
        4,
        ge=1,
        le=100,
        description="How many of these there are for each labeler who has a task in hand, where "
        "that is more.",
    )
    generation_ahead_most: int = Field(
        5000,
        ge=1,
        le=100_000,
        description="How many tasks of a round are written ahead for all labelers at most, where "
        "that is more than GENERATION_AHEAD.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="How much the logs say: DEBUG, INFO, WARNING or ERROR."
    )

    @model_validator(mode="after")
    def _nothing_excludes_another(self) -> Self:
        if found := "\n".join(self._contradictions()):
            raise ValueError(found)
        return self

    def _contradictions(self) -> Iterator[str]:
        """One line for each variable that has no effect, or takes another's, as they are now."""
        urls, rollouts = self.given_inference_urls, self.training_rollouts_url
        if urls and self.given_inference_port:
            yield "INFERENCE_PORT: belongs to the local vLLM, which INFERENCE_URL replaces"
        if self.given_inference_port == self.port:
            yield "INFERENCE_PORT: is that of the web server (PORT); choose another"
        if len(set(urls)) < len(urls):
            yield "INFERENCE_URL: names a server twice; each is one replica"
        if rollouts and rollouts in (*urls, *self._local_vllm()):
            yield (
                "TRAINING_ROLLOUTS_URL: is one of INFERENCE_URL, which serves people; start "
                "another vLLM for PPO, or leave it out"
            )
        if self.training_rollouts_api_key and not rollouts:
            yield "TRAINING_ROLLOUTS_API_KEY: has no server, TRAINING_ROLLOUTS_URL is not set"
        if self.storage_endpoint_url and not self.storage_url:
            yield "STORAGE_ENDPOINT_URL: has no bucket, STORAGE_URL is not set"
        if not urls and _looks_like_a_path(self.model) and not _is_folder(self.model):
            yield "MODEL: expected a folder that is there, a model hub id, or the bundled model"

    def _local_vllm(self) -> list[str]:
        port = self.given_inference_port
        return [f"http://{host}:{port}" for host in LOOPBACK] if port else []


def _looks_like_a_path(model: str) -> bool:
    return model.startswith(("/", ".", "~"))


def _is_folder(model: str) -> bool:
    return Path(model).is_dir()
