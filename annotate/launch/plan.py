"""Which processes make up Prefloop on one machine, in the order in which they start."""

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import httpx

from annotate.environment import BUNDLED_MODEL, CHECKOUT, Environment
from annotate.launch import postgres, valkey
from annotate.launch.child import Spec
from annotate.launch.refusal import Refusal
from inference import local
from inference.devices import DevicePlan, Gpu, ImpossiblePlan, Wishes, find_gpus, plan_devices

PYTHON = sys.executable
ROUNDS_AT_A_TIME = 8
# The threads that work are those of annotate.web.rooms.
WEB_SERVER = ["--interface", "asginl", "annotate.asgi:application", "--no-ws", "--http", "1"]
WEB_SERVER += ["--loop", "asyncio"]
CHECKPOINT_WITHIN = 120.0  # seconds; a run that takes longer goes on from the checkpoint before


def log_of(env: Environment, name: str) -> Path:
    return env.var_dir / "log" / f"{name}.log"


def devices(env: Environment) -> DevicePlan:
    """Which GPU serves and which trains. Raises Refusal."""
    wishes = Wishes(
        inference=env.inference_gpus,
        training=env.training_gpus,
        share=env.inference_gpu_share,
        arguments=env.vllm_args,
        serves=env.embeds_vllm,
    )
    try:
        return plan_devices(_gpus(), wishes)
    except ImpossiblePlan as problem:
        raise Refusal(str(problem)) from problem


@lru_cache(maxsize=1)
def _gpus() -> tuple[Gpu, ...]:
    return find_gpus()


def stores(env: Environment) -> list[Spec]:
    """PostgreSQL and Valkey, those that are embedded."""
    specs = []
    if env.embeds_postgres:
        data, sockets = env.var_dir / "postgres", env.run_dir / "postgres"
        specs.append(
            Spec(
                name="postgres",
                commands=[postgres.command(data, sockets)],
                log=log_of(env, "postgres"),
                folder=env.var_dir,
                probe=partial(postgres.answers, sockets),
                probe_every=0.05,
                stop_signal=signal.SIGINT,  # ends sessions and writes everything
                stop_within=60,
                stop_order=5,
            )
        )
    if env.embeds_valkey:
        specs.append(
            Spec(
                name="valkey",
                commands=[valkey.command(env.var_dir / "valkey", env.valkey_socket)],
                log=log_of(env, "valkey"),
                folder=env.var_dir,
                probe=partial(valkey.answers, env.valkey_socket),
                probe_every=0.05,
                stop_order=4,
            )
        )
    return specs


def web(env: Environment) -> Spec:
    workers = env.web_workers or min(8, max(2, os.cpu_count() or 2))
    listen = ["--host", env.host, "--port", str(env.port)]
    processes = ["--workers", str(workers), "--respawn-failed-workers", "--respawn-interval", "1"]
    server = ["-m", "granian", *WEB_SERVER]
    return Spec(
        name="web",
        commands=[[PYTHON, *server, *listen, *processes, "--workers-kill-timeout", "10"]],
        log=log_of(env, "web"),
        environment=devices(env).training_environment,  # it tells what a run would find free
        folder=CHECKOUT,
        probe=partial(web_answers, env.host, env.port),
        unhealthy_for=120,
        stop_order=1,
    )


def jobs(env: Environment) -> list[Spec]:
    """The Celery workers and beat, which gives them the regular work."""
    celery = [PYTHON, "-m", "celery", "-A", "annotate.celery_app"]
    worker = [*celery, "worker", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]

    def of_queue(
        name: str, queue: str, concurrency: int, *more: str, stop_within: float = 20.0
    ) -> Spec:
        which = ["-Q", queue, "-c", str(concurrency), "-n", f"{name}@%h", *more]
        return Spec(
            name=name,
            commands=[[*worker, *which]],
            log=log_of(env, name),
            environment=devices(env).training_environment,
            folder=CHECKOUT,
            stop_within=stop_within,
            stop_order=2,
        )

    schedule = ["--schedule", str(env.var_dir / "beat"), "--pidfile", ""]
    beat = Spec(
        name="beat",
        commands=[[*celery, "beat", *schedule, "--loglevel", "INFO"]],
        log=log_of(env, "beat"),
        folder=CHECKOUT,
    )
    return [
        of_queue("worker", "default", env.worker_concurrency),
        # Such a job mostly waits for vLLM, and must hear of a shutdown: a thread.
        of_queue("generator", "generate", ROUNDS_AT_A_TIME, "--pool", "threads"),
        # One run a device. It hears of a shutdown as well, and lets the run save a checkpoint.
        of_queue("trainer", "train", 1, "--pool", "threads", stop_within=CHECKPOINT_WITHIN),
        beat,
    ]


def vllm(env: Environment) -> Spec:
    """The local vLLM, after the bundled model was unpacked if it is the one to serve."""
    server = local.LocalServer(
        model=str(model_folder(env)) if env.model == BUNDLED_MODEL else env.model,
        served_name=served_name(env),
        port=env.inference_port,
        api_key=env.inference_api_key,
        max_model_len=env.max_model_len,
        cache_gb=env.inference_cache_gb,
        adapters=env.inference_adapters,
        adapter_rank=env.inference_adapter_rank,
        chat_template=env.chat_template,
        devices=devices(env),
    )
    commands: list[Sequence[str]] = [server.command()]
    if env.model == BUNDLED_MODEL:
        unpack = ["-m", "training.engine.unpack", str(local.bundled_gguf())]
        commands.insert(0, [PYTHON, *unpack, str(model_folder(env))])
    return Spec(
        name="vllm",
        commands=commands,
        log=log_of(env, "vllm"),
        environment={**server.environment(), "VLLM_RPC_BASE_PATH": str(env.vllm_sockets)},
        folder=CHECKOUT,
        probe=server.answers,
        probe_every=1.0,
        start_within=local.START_WITHIN,
        hopeless=local.HOPELESS,
        unhealthy_for=local.UNHEALTHY_FOR,
        stop_within=10,
        stop_order=3,
    )


def prepare_vllm(env: Environment) -> None:
    """An empty folder for its sockets: it leaves them behind, in the machine's own otherwise."""
    shutil.rmtree(env.vllm_sockets, ignore_errors=True)
    env.vllm_sockets.mkdir(parents=True, mode=0o700)


def model_folder(env: Environment) -> Path:
    return env.var_dir / "models" / BUNDLED_MODEL


def served_name(env: Environment) -> str:
    """What requests call the model: a folder's name, or the hub id as it is."""
    return Path(env.model).name if Path(env.model).is_dir() else env.model


def web_answers(host: str, port: int) -> bool:
    """Whether the web server takes requests; a refusal by host name counts as an answer."""
    return web_status(host, port) < 500


def in_url(host: str) -> str:
    """IPv6 stands in brackets there."""
    return f"[{host}]" if ":" in host else host


def web_status(host: str, port: int) -> int:
    """HTTP status of the health page, 599 when there is no answer."""
    address = in_url({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))  # noqa: S104
    try:
        reply = httpx.get(f"http://{address}:{port}/api/health", timeout=5, trust_env=False)
    except httpx.TransportError:
        return 599
    return reply.status_code
