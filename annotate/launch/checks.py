"""What is looked at before anything is started, so that a problem is one line and not a trace."""

import errno
import os
import shutil
import socket
import stat
import sys
from pathlib import Path

import httpx
import kombu
import kombu.exceptions
import psutil
import psycopg
import redis

from annotate.environment import Environment
from annotate.launch.refusal import Refusal

DISK_NEEDED = 1024**3  # bytes


def python() -> None:
    if sys.version_info[:2] != (3, 11):
        found = ".".join(map(str, sys.version_info[:3]))
        raise Refusal(f"Python 3.11 is needed, this is {found}: run `make run PYTHON=python3.11`")


def folders(env: Environment) -> None:
    """Make the folders of VAR_DIR, for nobody else; that of the sockets must be ours.

    Under root others may pass through to PostgreSQL's, which `nobody` owns, and see no names.
    """
    passing = 0o711 if os.geteuid() == 0 else 0o700
    try:
        if not env.var_dir.exists():
            env.var_dir.mkdir(parents=True)
            env.var_dir.chmod(passing)  # whatever the umask
        env.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        (env.var_dir / "log").mkdir(exist_ok=True)
        for folder in _own_folders(env):
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) & 0o700)
        mark = env.var_dir / ".writable"
        mark.write_text("")
        mark.unlink()
    except OSError as error:
        raise Refusal(f"VAR_DIR: cannot write to {env.var_dir}: {error.strerror}") from error
    found = env.run_dir.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise Refusal(f"The folder {env.run_dir} belongs to someone else: remove it")
    env.run_dir.chmod(passing)


def _own_folders(env: Environment) -> list[Path]:
    """Those in VAR_DIR that are ours: an earlier version let others read some of them."""
    found = [one for one in env.var_dir.iterdir() if one.is_dir() and not one.is_symlink()]
    return [one for one in found if one != env.run_dir and one.stat().st_uid == os.geteuid()]


def disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < DISK_NEEDED:
        raise Refusal(
            f"The disk of {folder} is full ({free // 1024**2} MB free, 1024 MB needed): free some "
            "space, or set VAR_DIR to a folder on another disk"
        )


def port(host: str, number: int) -> None:
    """Raise Refusal when nobody could listen on that address now."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise Refusal(f"HOST: {host!r} is no address of this machine") from error
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise Refusal(_why_not(error, host, number)) from error


def _why_not(error: OSError, host: str, number: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {number} is taken{_holder(number)}: stop that program, or choose another port "
            f"with `make run PORT={number + 1 if number < 65535 else 8000}`"
        )
    if error.errno == errno.EACCES:
        return f"PORT: {number} is reserved for the administrator: choose one from 1024 up"
    return f"HOST: {host!r} is no address of this machine"


def _holder(number: int) -> str:
    try:
        listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        pids = [c.pid for c in listening if c.laddr and c.laddr[1] == number and c.pid]
        return f" by {psutil.Process(pids[0]).name()} (process {pids[0]})" if pids else ""
    except psutil.Error:
        return ""  # who it is belongs to another user: the port's number must do


def external(env: Environment) -> list[str]:
    """Reach every part that a variable moved out.

    Raises Refusal for a database, broker or cache that cannot be used; returns a warning for each
    vLLM that does not answer, which may come later.
    """
    if not env.embeds_postgres:
        _database(env.database_url)
    if env.given_broker_url:
        _broker(env.broker_url)
    if env.given_cache_url:
        _cache(env.cache_url)
    found = []
    if not env.embeds_vllm:
        waits = "rounds wait until it does"
        key = env.inference_api_key
        found += [_vllm("INFERENCE", url, key, waits) for url in env.inference_urls]
    if env.training_rollouts_url:
        fails, key = "PPO runs fail until it does", env.training_rollouts_api_key
        found.append(_vllm("TRAINING_ROLLOUTS", env.training_rollouts_url, key, fails))
    return [line for line in found if line]


def _database(url: str) -> None:
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            version = connection.info.server_version
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise Refusal(f"DATABASE_URL: the database cannot be used: {reason}") from error
    if version < 140000:
        raise Refusal(f"DATABASE_URL: PostgreSQL 14 or newer is needed, not {version // 10000}")


def _broker(url: str) -> None:
    try:
        with kombu.Connection(url, connect_timeout=10) as connection:
            connection.ensure_connection(max_retries=1, interval_start=1, timeout=15)
    except (OSError, kombu.exceptions.KombuError, redis.RedisError) as error:
        raise Refusal(f"BROKER_URL: the broker cannot be reached: {error}") from error


def _cache(url: str) -> None:
    client = redis.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=10)
    try:
        client.ping()
    except (OSError, redis.RedisError) as error:
        raise Refusal(f"CACHE_URL: the cache cannot be reached: {error}") from error
    finally:
        client.close()


def _vllm(name: str, url: str, key: str, otherwise: str) -> str | None:
    """What is wrong with it. name: what its variables begin with. otherwise: while it is away."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        reply = httpx.get(f"{url.rstrip('/')}/v1/models", headers=headers, timeout=10)
    except httpx.HTTPError as error:
        return f"{name}_URL: {url} does not answer yet ({error}); {otherwise}"
    if reply.status_code in (401, 403):
        return f"{name}_API_KEY: {url} refuses the key (HTTP {reply.status_code})"
    if reply.status_code != 200:
        return f"{name}_URL: {url} answers HTTP {reply.status_code} where vLLM lists its models"
    return None
