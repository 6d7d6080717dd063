"""The environment as the processes use it: what was given, or else what is embedded."""

import hashlib
import os
import secrets
import tempfile
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from annotate.environment.fields import DATABASE_ROLE, Fields
from annotate.environment.made import free_port, write_once

LONGEST_SOCKET_FOLDER = 64  # a Unix socket's whole path must stay below 108 bytes on Linux


class Environment(Fields):
    """The variables, and what follows from them."""

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
    def largest_rank(self) -> int:
        """Of an adapter that the replicas take; 0: they take none."""
        if self.embeds_vllm and not self.inference_adapters:
            return 0
        return self.inference_adapter_rank

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
            write_once(path, str(free_port()))
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
            write_once(path, secrets.token_urlsafe(size))
        return path.read_text().strip()
