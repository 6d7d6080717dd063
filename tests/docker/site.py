"""What the images web and proxy run, started without an engine from what the builder would copy."""

import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from annotate.environment import CHECKOUT, free_port
from tests import services
from tests.docker import definitions
from tests.docker.definitions import DOCKER
from tests.patience import PATIENCE_S

PROGRAMS = str(Path(sys.executable).parent)
READY_WITHIN = 60.0  # seconds


@dataclass(frozen=True)
class Proxy:
    """A running Caddy; `client` trusts its authority."""

    https: str
    http: str
    client: httpx.Client


def build_web_image(folder: Path) -> None:
    """Copy and run what the stage `web` of the Dockerfile copies and runs, into `folder`.

    Only the packages of the web image are within reach of what runs.
    """
    for origin, sources, destination in definitions.copied("web"):
        if origin == "web-packages":
            continue  # those of the tests' environment, the others hidden
        for source in sources:
            path = CHECKOUT / ("frontend/dist" if origin == "frontend" else source)
            target = folder / destination
            if path.is_dir():
                shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    # Django's packages may import nothing else, and neither may ours.
    (folder / "sitecustomize.py").write_text(
        f"import sys\nsys.path.append({str(CHECKOUT)!r})\n"
        "from tests.docker import web_image\nweb_image.hide_other_packages()\n"
        f"sys.path.remove({str(CHECKOUT)!r})\n"
        "for name in [one for one in sys.modules if one.split('.')[0] == 'tests']:\n"
        "    del sys.modules[name]\n"
    )
    for instruction in definitions.dockerfile():
        if (instruction.stage, instruction.word) == ("web", "RUN"):
            subprocess.run(
                ["sh", "-ec", instruction.text],
                cwd=folder,
                env=image_environment(folder),
                check=True,
            )


def image_environment(folder: Path) -> dict[str, str]:
    """The variables that the image itself sets, for the folder in the place of /srv/prefloop."""
    path = os.pathsep.join([PROGRAMS, os.environ["PATH"]])
    return {"PATH": path, "PYTHONPATH": str(folder), "VAR_DIR": str(folder / "var")}


@contextmanager
def web(folder: Path) -> Iterator[int]:
    """The service `web` of the compose file, on the tests' database; gives its port."""
    port = free_port()
    service = definitions.services()["web"]
    command = [str(port) if word == "8000" else str(word) for word in service["command"]]
    url = services.ENV.database_url.replace("/prefloop?", f"/{services.TEST_DATABASE}?")
    environment = {
        **image_environment(folder),
        **{name: str(value) for name, value in service["environment"].items()},
        "SECRET_KEY": "only-in-tests-" * 3,
        "DATABASE_URL": url,
        "BROKER_URL": services.ENV.broker_url,
        "CACHE_URL": services.ENV.cache_url,
    }
    probe = f"http://127.0.0.1:{port}/api/health"
    with _running(command, folder, environment):
        _wait_for(probe)
        yield port


@contextmanager
def proxy(upstream: int, folder: Path, changes: Mapping[str, str] | None = None) -> Iterator[Proxy]:
    """The Caddy of docker/, before the web server on that port.

    changes: parts of the Caddyfile that a test needs otherwise, such as shorter times.
    """
    http, https, health = free_port(), free_port(), free_port()
    places = {
        "a web 8000": f"a 127.0.0.1 {upstream}",
        "8080": str(http),
        "8443": str(https),
        "8081": str(health),
    }
    text = (DOCKER / "Caddyfile").read_text()
    for part, instead in {**(changes or {}), **places}.items():
        assert part in text, part
        text = text.replace(part, instead)
    file = folder / "Caddyfile"
    file.write_text(text)
    environment = {
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "SITE_HOST": "localhost",
    }
    command = [f"{PROGRAMS}/caddy", "run", "--config", str(file), "--adapter", "caddyfile"]
    with _running(command, folder, environment):
        _wait_for(f"http://127.0.0.1:{health}/health")
        authority = folder / "data" / "caddy" / "pki" / "authorities" / "local"
        trust = ssl.create_default_context(cafile=str(authority / "root.crt"))
        with httpx.Client(verify=trust, trust_env=False, timeout=PATIENCE_S) as client:
            _wait_for_certificate(https, trust)
            yield Proxy(f"https://localhost:{https}", f"http://localhost:{http}", client)


@contextmanager
def _running(command: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    program = shutil.which(command[0], path=PROGRAMS) or command[0]
    process = subprocess.Popen([program, *command[1:]], cwd=folder, env=dict(environment))
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)


def _wait_for_certificate(port: int, trust: ssl.SSLContext) -> None:
    """Caddy makes its certificate when it runs already."""
    end = time.monotonic() + READY_WITHIN
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as plain:
                trust.wrap_socket(plain, server_hostname="localhost").close()
            return
        except ssl.SSLError:
            assert time.monotonic() < end, "there is no certificate"
        time.sleep(0.05)


def _wait_for(url: str) -> None:
    end = time.monotonic() + READY_WITHIN
    while True:
        try:
            if httpx.get(url, trust_env=False).status_code < 500:
                return
        except httpx.TransportError:
            assert time.monotonic() < end, f"{url} does not answer"
        time.sleep(0.05)


@dataclass(frozen=True)
class SlowExport:
    """A server that sends one line, waits for `go_on`, and goes on; `left`: its client is gone."""

    port: int
    go_on: threading.Event
    left: threading.Event


@contextmanager
def slow_export() -> Iterator[SlowExport]:
    go_on, left = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"first\n")
            self.wfile.flush()
            while not go_on.wait(0.1):
                readable, _, _ = select.select([self.connection], [], [], 0)
                if readable and not self.connection.recv(1, socket.MSG_PEEK):
                    left.set()
                    return
            self.wfile.write(b"second\n")

    with _threaded(Handler, 0) as port:
        yield SlowExport(port, go_on, left)


@contextmanager
def late_server(port: int, *, after: float) -> Iterator[None]:
    """A server that answers everything with 200, `after` so many seconds."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    done = threading.Event()

    def run() -> None:
        time.sleep(after)
        with _threaded(Handler, port):
            done.wait()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _threaded(handler: type[BaseHTTPRequestHandler], port: int) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
