"""A vLLM for the tests of PPO's rollouts, an actor that is its version, and a client of both."""

import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.training.asked import END, SAMPLING
from training.engine.ppo.rollouts import Answer, Served


class Fake:
    """vLLM as far as it goes: adapters by name, answers that tell which one gave them."""

    def __init__(self) -> None:
        self.loaded: dict[str, str] = {}
        self.log: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.failures: list[int] = []
        self.restarts = 0
        self.refuses = False
        self.hold = threading.Event()
        self.hold.set()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply(200, {"data": [{"id": one} for one in ("base", *fake.loaded)]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._reply(*fake.answer(self.path, body))

            def _reply(self, status: int, body: Any) -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self.handler = Handler
        self.port = 0
        self.start()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Fake":
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        self.away()

    def start(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), self.handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def away(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/v1/load_lora_adapter":
            if self.refuses:
                return 500, "the rank is too high"
            self.loaded[body["lora_name"]] = Path(body["lora_path"], "weights").read_text()
            self.log.append(f"load {self.loaded[body['lora_name']]}")
            return 200, "ok"
        if path == "/v1/unload_lora_adapter":
            self.log.append(f"unload {self.loaded.pop(body['lora_name'])}")
            return 200, "ok"
        if self.failures:
            return self.failures.pop(), {"error": "busy"}
        if self.restarts and self.asked:
            self.restarts -= 1
            self.loaded.clear()
            self.log.append("restart")
        self.asked.append(body)
        self.hold.wait(10)
        if body["model"] not in self.loaded:
            return 404, {"error": "no such model"}
        version = int(self.loaded[body["model"]])
        choices = [
            {
                "index": n,
                "token_ids": [version, len(body["prompt"]), END],
                "logprobs": {"token_logprobs": [-1.0, -2.0, -0.5]},
            }
            for n in reversed(range(body["n"]))
        ]
        return 200, {"choices": choices}


class Actor:
    """Its weights are its version."""

    version = 0

    def write(self, folder: Path) -> str:
        folder.mkdir(parents=True)
        (folder / "weights").write_text(str(self.version))
        return f"{self.version:064d}"[::-1]


def client(fake: Fake, folder: Path, actor: Actor, told: list[str] | None = None) -> Served:
    tell = ([] if told is None else told).append
    return Served(fake.url, folder / "served", SAMPLING, actor.write, tell)


def first(sampled: Sequence[tuple[Answer, ...]]) -> Answer:
    return sampled[0][0]
