"""Each role of the compose file as a process of its own, in a VAR_DIR of its own.

They share only what the file mounts in several of them. Where they work on other machines, they
share less: then the bucket has the files.
"""

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from annotate.environment import CHECKOUT, free_port
from annotate.launch import plan
from annotate.launch.child import Spec
from tests import services
from tests.docker import definitions
from tests.docker.mounts import mounts

ROLES = ("web", "worker", "generator", "trainer-cpu", "beat")


@dataclass(frozen=True)
class Hosts:
    """root: where everything lies. apart: volumes that each role has one of its own of."""

    root: Path
    environment: Mapping[str, str]
    apart: Collection[str] = ()
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def var(self, role: str) -> Path:
        return self.root / role / "var"

    def volume(self, name: str, role: str) -> Path:
        return self.root / "volumes" / (f"{name}-of-{role}" if name in self.apart else name)

    def prepare(self, role: str) -> None:
        """Its mounts, in the order of the file."""
        self.var(role).mkdir(parents=True)
        for mount in mounts(role):
            volume = self.volume(mount.volume, role)
            volume.mkdir(parents=True, exist_ok=True)
            place = self.var(role) / mount.path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(volume, target_is_directory=True)

    def written_beside(self, role: str) -> list[str]:
        """What lies in its VAR_DIR but in no mount: in a container that would have failed."""
        expected = {self.var(role) / mount.path for mount in mounts(role)}
        expected |= {parent for path in expected for parent in path.parents}
        return sorted(
            str(path.relative_to(self.var(role)))
            for path in self.var(role).rglob("*")
            if path not in expected
        )

    def spec(self, role: str) -> Spec:
        url = services.ENV.database_url.replace("/prefloop?", f"/{services.TEST_DATABASE}?")
        elsewhere = self.root / role / "tmp"
        elsewhere.mkdir()
        command = [
            str(word).replace("/tmp/beat", str(elsewhere / "beat"))  # noqa: S108
            for word in definitions.services()[role]["command"]
        ]
        if role == "web":
            command = [str(self.port) if word == "8000" else word for word in command]
        return Spec(
            name=role,
            commands=[[sys.executable, *command[1:]]],
            log=self.root / role / "log",
            folder=CHECKOUT,
            environment={
                "VAR_DIR": str(self.var(role)),
                "TMPDIR": str(elsewhere),
                "DATABASE_URL": url,
                "BROKER_URL": services.ENV.broker_url,
                "CACHE_URL": services.ENV.cache_url,
                "SECRET_KEY": "only-in-tests-" * 3,
                "PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]),
                **self.environment,
            },
            probe=(lambda: plan.web_answers("127.0.0.1", self.port)) if role == "web" else None,
        )


@contextmanager
def running(hosts: Hosts) -> Iterator[None]:
    for role in ROLES:
        hosts.prepare(role)
    with ExitStack() as stack:
        for role in ROLES:
            stack.enter_context(services.serving(hosts.spec(role)))
        yield
