"""Files in a bucket of any server that speaks S3, behaving as those in a folder do.

What goes wrong is an OSError, as it is with a disk; a file is read as it comes, not fetched whole
before its first byte; every wait has an end. Credentials and region are the standard AWS_*
variables, or what the machine's role gives.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from django.core.files.base import File
from storages.backends.s3 import S3Storage
from storages.utils import clean_name
from urllib3.exceptions import HTTPError

CONNECT_S, READ_S, ATTEMPTS = 10, 60, 4
READ_AHEAD = 1 << 20
NOT_THERE = {"404", "NoSuchKey"}


class S3Folder(S3Storage):
    """A folder of a bucket. A name that is saved again is overwritten, not changed."""

    def get_default_settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = super().get_default_settings()
        return {
            **settings,
            "client_config": Config(
                connect_timeout=CONNECT_S,
                read_timeout=READ_S,
                retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                # Other servers than Amazon's do not know its newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        }

    def exists(self, name: str) -> bool:
        with _as_os_error():
            return bool(super().exists(name))

    def delete(self, name: str) -> None:
        with _as_os_error():
            super().delete(name)

    def size(self, name: str) -> int:
        with _as_os_error():
            return int(super().size(name))

    def _save(self, name: str, content: Any) -> str:
        with _as_os_error():
            return str(super()._save(name, content))

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        if mode != "rb":
            raise ValueError("Files in a bucket are opened for reading; save() writes them.")
        with _as_os_error():
            found = self.bucket.Object(self._normalize_name(clean_name(name))).get()
        file: File[bytes] = File(
            io.BufferedReader(_Body(found["Body"]), READ_AHEAD),
            name,
        )
        file.size = found["ContentLength"]
        return file


class _Body(io.RawIOBase):
    """What the server is sending, as a file that is read once, from its beginning."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _as_os_error():
            data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        if said.get("Code") in NOT_THERE:
            raise FileNotFoundError(str(error)) from error
        raise OSError(f"the storage refused: {said.get('Message') or error}") from error
    except (BotoCoreError, Boto3Error, HTTPClientError, HTTPError) as error:
        raise OSError(f"the storage does not answer: {error}") from error
